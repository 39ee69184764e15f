import { mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { folderAt } from '../../scripts/online/audit-export.ts'
import { signCheckpoint } from '../../src/audit/checkpoint.ts'
import { encodeEntry } from '../../src/audit/entry.ts'
import { bundlePath, encodeBundle, encodeTile, TILE_WIDTH, tilePath } from '../../src/audit/tile.ts'
import { appendLeaves, emptyRange, hashLeaf, rootOf } from '../../src/audit/merkle.ts'
import { ED25519, formatVkey, noteKey } from '../../src/audit/note.ts'
import { openEd25519, verifyEd25519 } from '../../src/ed25519/openssl.ts'
import { exportLog } from '../../src/sequencer/export-log.ts'

/** Whoever holds the checkpoint key of a log: its service, or a thief of the key. */
export function logSigner(seed = 1, origin = 'log.example/audit/1') {
  const { publicKey, sign } = openEd25519(Buffer.alloc(32, seed))
  const key = noteKey(origin, ED25519, publicKey)
  return { key, sign, origin, vkey: formatVkey(key) }
}

export type LogSigner = ReturnType<typeof logSigner>

export function beginning({ origin, vkey }: LogSigner, at: number): Uint8Array {
  const first = { kind: 'trust.initialised', store: 'store', origin, checkpointKey: vkey } as const
  return encodeEntry(first, new Date(at)).body
}

/** An entry like any other, each with a number of its own. */
export function counted(operations: number): Uint8Array {
  const directory = 'https://plc.directory'
  const counts = { operations, own: 0, foreign: 0, nullified: 0 }
  const entry = { kind: 'reconciliation.reported', directory, ...counts } as const
  return encodeEntry(entry, new Date(Date.UTC(2026, 0, 1) + operations)).body
}

export function checkpointOf(bodies: readonly Uint8Array[], signer: LogSigner) {
  const root = rootOf(appendLeaves(emptyRange, bodies.map(hashLeaf)))
  const size = bodies.length
  return { size, root, note: signCheckpoint({ origin: signer.origin, size, root }, signer) }
}

/** Exports entries as the service exports its own, into a folder that may hold an older export. */
export async function writeExport(
  bodies: readonly Uint8Array[],
  signer: LogSigner,
  folder?: string,
): Promise<string> {
  const dir = folder ?? (await mkdtemp(join(tmpdir(), 'holdfast-export-')))
  const { size, note } = checkpointOf(bodies, signer)
  const source = {
    checkpoint: async () => ({ size, note }),
    bodies: async (from: number, to: number) =>
      bodies.slice(from, to).map((body, at) => ({ index: from + at, body, indexed: true })),
  }
  const { key } = signer
  await exportLog(source, folderAt(dir), { key, verify: verifyEd25519, progress: () => {} })
  return dir
}

/**
 * What somebody serves who believes nothing and checks nothing: these entries, fewer than one tile holds,
 * beside this checkpoint, whatever its root.
 */
export async function serveAnyway(
  bodies: readonly Uint8Array[],
  { note, vkey }: { readonly note: string; readonly vkey: string },
): Promise<string> {
  const width = bodies.length
  if (width >= TILE_WIDTH) throw new RangeError('one tile is all that is written')
  const dir = await mkdtemp(join(tmpdir(), 'holdfast-served-'))
  const files: [string, string | Uint8Array][] = [
    ['checkpoint', note],
    ['log.vkey', `${vkey}\n`],
  ]
  if (width > 0) {
    files.push([bundlePath({ index: 0, width }), encodeBundle(bodies)])
    files.push([tilePath({ level: 0, index: 0, width }), encodeTile(bodies.map(hashLeaf))])
  }
  for (const [path, content] of files) {
    await mkdir(dirname(join(dir, path)), { recursive: true })
    await writeFile(join(dir, path), content)
  }
  return dir
}

/** A checkpoint that an auditor kept, as a file. */
export async function keepCheckpoint(
  bodies: readonly Uint8Array[],
  signer: LogSigner,
): Promise<string> {
  const path = join(await mkdtemp(join(tmpdir(), 'holdfast-kept-')), 'checkpoint')
  await writeFile(path, checkpointOf(bodies, signer).note)
  return path
}

export async function writeCard(text: string): Promise<string> {
  const path = join(await mkdtemp(join(tmpdir(), 'holdfast-card-')), 'trust.yaml')
  await writeFile(path, text)
  return path
}
