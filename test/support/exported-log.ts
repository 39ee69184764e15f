import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { folderAt } from '../../scripts/online/audit-export.ts'
import { signCheckpoint } from '../../src/audit/checkpoint.ts'
import { encodeEntry } from '../../src/audit/entry.ts'
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
