import { decodeBundle, bundlePath, TILE_WIDTH } from '../audit/tile.ts'
import { parseCheckpointText } from '../audit/checkpoint.ts'
import type { Checkpoint } from '../audit/checkpoint.ts'
import { hashLeaf, rootOf } from '../audit/merkle.ts'
import { parseNote } from '../audit/note.ts'
import type { Held } from './held.ts'
import type { AuditLogStore, LogHead, Plan, Sequencing } from './ports.ts'
import { extend } from './right-edge.ts'
import type { RightEdge } from './right-edge.ts'
import { BATCH, loadEdge, planBatch } from './sequence.ts'
import { isSame } from './verified-log.ts'

/** Reads a file of an exported tree by its path in it; null when it is not there. */
export type ReadExport = (path: string) => Promise<Uint8Array | null>

export type Restored =
  | { readonly kind: 'restored'; readonly from: number; readonly to: number }
  /** The database has all that was checkpointed. */
  | { readonly kind: 'nothing-missing'; readonly size: number }
  /** Entries that are neither in the database nor in the export. */
  | { readonly kind: 'lost'; readonly from: number; readonly to: number }
  /** With the export's entries the root is another one than the held record's: nothing was written. */
  | { readonly kind: 'another-log'; readonly size: number }
  | { readonly kind: 'busy' }

/**
 * Puts back the entries that a restored database lacks. The export is believed in nothing: its entries
 * are hashed behind those that are there, and only when that gives the held root is any of them written.
 * They are read again for that, and hashed again: only the held root is committed, together with the entry
 * that says that they came back. A crash on the way leaves nothing of it.
 */
export async function restoreLog(
  store: AuditLogStore,
  held: Held,
  read: ReadExport,
): Promise<Restored> {
  const term = await store.elect()
  if (term === null) return { kind: 'busy' }
  try {
    return await restoreInTerm(store, { term, held, read })
  } finally {
    await term.resign()
  }
}

async function restoreInTerm(
  store: AuditLogStore,
  { term, held, read }: { term: Sequencing; held: Held; read: ReadExport },
): Promise<Restored> {
  const from = term.head.range.size
  if (from >= held.size) return { kind: 'nothing-missing', size: from }
  const exported = await readCheckpoint(read)
  const entries = readEntries(read, exported.size, { from, to: held.size })
  const start = await loadEdge(store, term.head)
  let edge = start
  let size = from
  for await (const bodies of entries()) {
    edge = extend(edge, bodies.map(hashLeaf)).edge
    size += bodies.length
  }
  if (size < held.size) return { kind: 'lost', from: size, to: held.size - 1 }
  if (!isSame(rootOf(edge.range), held.root)) return { kind: 'another-log', size: held.size }
  await term.restore((head) => plansOf({ head, start, held }, entries()), {
    kind: 'database.restored',
    had: from,
    size: held.size,
    root: held.root,
  })
  return { kind: 'restored', from, to: held.size - 1 }
}

/** @throws Error when it is not the held root that they lead to: the export was changed since it was hashed */
async function* plansOf(
  { head, start, held }: { head: LogHead; start: RightEdge; held: Held },
  entries: AsyncIterable<Uint8Array[]>,
): AsyncGenerator<Plan> {
  let edge = start
  let at = head
  for await (const bodies of entries) {
    yield planBatch(edge, at, bodies, (next) => (edge = next))
    at = { ...at, range: edge.range }
  }
  if (!isSame(rootOf(edge.range), held.root)) {
    throw new Error('the export was changed while it was read; nothing was written')
  }
}

/** Only its size is used, to find the files: what they hold is proven by the held root. */
async function readCheckpoint(read: ReadExport): Promise<Checkpoint> {
  const note = await read('checkpoint')
  if (note === null) throw new Error('the export has no file "checkpoint"')
  return parseCheckpointText(parseNote(note).text)
}

function readEntries(
  read: ReadExport,
  exportSize: number,
  { from, to }: { from: number; to: number },
): () => AsyncGenerator<Uint8Array[]> {
  return async function* () {
    let batch: Uint8Array[] = []
    for (let next = from; next < to;) {
      const index = Math.floor(next / TILE_WIDTH)
      const width = Math.min(TILE_WIDTH, exportSize - index * TILE_WIDTH)
      const bundle = width < 1 ? null : await read(bundlePath({ index, width }))
      const bodies =
        bundle === null
          ? []
          : decodeBundle(bundle, width).slice(next - index * TILE_WIDTH, to - index * TILE_WIDTH)
      if (bodies.length === 0) break
      batch.push(...bodies)
      next += bodies.length
      if (batch.length >= BATCH || next >= to) {
        yield batch.splice(0)
        batch = []
      }
    }
    if (batch.length > 0) yield batch
  }
}
