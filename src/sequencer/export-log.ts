import { openCheckpoint } from '../audit/checkpoint.ts'
import type { Checkpoint } from '../audit/checkpoint.ts'
import { appendLeaves, emptyRange, hashLeaf, rootOf } from '../audit/merkle.ts'
import type { CompactRange, Visit } from '../audit/merkle.ts'
import { formatVkey } from '../audit/note.ts'
import type { Ed25519Verify, NoteKey } from '../audit/note.ts'
import {
  bundlePath,
  decodeTile,
  encodeBundle,
  encodeTile,
  TILE_LEVELS,
  TILE_WIDTH,
  tilePath,
} from '../audit/tile.ts'
import { LogBroken } from './log-broken.ts'
import type { AuditLogStore } from './ports.ts'
import { isSame } from './verified-log.ts'

/** What is read of the log. */
export type ExportSource = Pick<AuditLogStore, 'checkpoint' | 'bodies'> & {
  /** The newest checkpoint that witnesses cosigned; null: none. */
  readonly cosigned?: () => Promise<{ readonly size: number; readonly note: string } | null>
}

/** A folder that holds an export, or will. Each write is durable, and whole or not there. */
export type ExportFolder = {
  read(path: string): Promise<Uint8Array | null>
  /** @throws ExportError `another-log` when the file is there with other content */
  write(path: string, content: Uint8Array): Promise<void>
  /** Over an older one. */
  replace(path: string, content: Uint8Array): Promise<void>
}

export type ExportErrorCode = 'another-log' | 'no-checkpoint'

export class ExportError extends Error {
  override readonly name = 'ExportError'
  readonly code: ExportErrorCode

  constructor(code: ExportErrorCode, message: string) {
    super(message)
    this.code = code
  }
}

export type Exported = { readonly from: number; readonly size: number }

/**
 * Writes the log up to its newest checkpoint as a static tlog-tiles tree. What is there already is read
 * and gone on from. Nothing of the database is believed: tiles are made of its entries, and the
 * checkpoint is put there last, when its root is theirs. A crash leaves files that the next run finds.
 */
export async function exportLog(
  store: ExportSource,
  folder: ExportFolder,
  options: {
    readonly key: NoteKey
    readonly verify: Ed25519Verify
    readonly progress: (done: number, size: number) => void
  },
): Promise<Exported> {
  // Read first: it is a state of the log before the newest one.
  const cosigned = (await store.cosigned?.()) ?? null
  const { note, checkpoint } = await newestCheckpoint(store, options)
  await folder.write('log.vkey', Buffer.from(`${formatVkey(options.key)}\n`))
  const tree = createTree(folder)
  const from = await resume(folder, tree, checkpoint)
  for (let next = from; next < checkpoint.size; next = tree.size()) {
    const to = Math.min(checkpoint.size, next + TILE_WIDTH)
    const bodies = await readBodies(store, next, to)
    await folder.write(
      bundlePath({ index: next / TILE_WIDTH, width: to - next }),
      encodeBundle(bodies),
    )
    await tree.append(bodies.map(hashLeaf))
    options.progress(to, checkpoint.size)
  }
  await tree.close()
  if (!isSame(tree.root(), checkpoint.root)) {
    throw new LogBroken('the entries in the database have another root than the checkpoint')
  }
  await folder.replace('checkpoint', Buffer.from(note))
  if (cosigned !== null) await folder.replace('cosigned', Buffer.from(cosigned.note))
  return { from, size: checkpoint.size }
}

async function newestCheckpoint(
  store: ExportSource,
  { key, verify }: { key: NoteKey; verify: Ed25519Verify },
): Promise<{ note: string; checkpoint: Checkpoint }> {
  const published = await store.checkpoint()
  if (published === null) {
    throw new ExportError('no-checkpoint', 'no checkpoint was signed yet: is the service running?')
  }
  const { note } = published
  return { note, checkpoint: openCheckpoint(Buffer.from(note), [key], verify) }
}

/** Goes on behind the full bundles that are there with their tiles. */
async function resume(
  folder: ExportFolder,
  tree: ReturnType<typeof createTree>,
  { size }: Checkpoint,
): Promise<number> {
  for (let index = 0; (index + 1) * TILE_WIDTH <= size; index += 1) {
    const tile = await folder.read(tilePath({ level: 0, index, width: TILE_WIDTH }))
    if (tile === null) break
    await tree.append(decodeTile(tile, TILE_WIDTH))
  }
  return tree.size()
}

function createTree(folder: ExportFolder) {
  const rows: Uint8Array[][] = []
  const done: { level: number; index: number; hashes: Uint8Array[] }[] = []
  let range: CompactRange = emptyRange

  const visit: Visit = ({ level, index }, hash) => {
    if (level % TILE_LEVELS !== 0) return
    const at = level / TILE_LEVELS
    const row = (rows[at] ??= [])
    row.push(hash)
    if (row.length < TILE_WIDTH) return
    done.push({ level: at, index: Math.floor(index / TILE_WIDTH), hashes: row })
    rows[at] = []
  }

  /** The tile of the entries comes last of all: where it is, its bundle and all above it are. */
  async function writeDone(): Promise<void> {
    for (const { level, index, hashes } of done.splice(0).toReversed()) {
      await folder.write(tilePath({ level, index, width: hashes.length }), encodeTile(hashes))
    }
  }

  return {
    size: () => range.size,
    root: () => rootOf(range),
    async append(leaves: readonly Uint8Array[]): Promise<void> {
      range = appendLeaves(range, leaves, visit)
      await writeDone()
    },
    async close(): Promise<void> {
      for (const [level, hashes] of rows.entries()) {
        const index = Math.floor(range.size / TILE_WIDTH ** (level + 1))
        if (hashes.length > 0) done.push({ level, index, hashes })
      }
      await writeDone()
    },
  }
}

async function readBodies(store: ExportSource, from: number, to: number): Promise<Uint8Array[]> {
  const rows = await store.bodies(from, to)
  if (rows.length !== to - from || rows.some(({ index }, at) => index !== from + at)) {
    throw new LogBroken(`entries ${from} to ${to - 1} are not all in the database`)
  }
  return rows.map(({ body }) => body)
}
