import { encodeEntry } from '../audit/entry.ts'
import { hashLeaf } from '../audit/merkle.ts'
import { decodeTile, TILE_WIDTH, tileLevels } from '../audit/tile.ts'
import type { Held } from './held.ts'
import { emptyEdge, extend, tileRoot } from './right-edge.ts'
import type { RightEdge } from './right-edge.ts'
import type { AuditLogStore, LogHead, Plan, Sequencing } from './ports.ts'

/** Entries of one transaction. */
export const BATCH = 1024

/**
 * Moves what waits in the outbox into the log, as the elected instance.
 * @param first the entry that begins an empty log
 * @returns how many were appended; 0: nothing waited
 * @throws when the term is over or the database says no: then the log is as it was, or as if it had
 * not thrown; whoever goes on begins with a new term
 */
export async function sequenceOnce(
  term: Sequencing,
  state: { edge: RightEdge },
  first: (now: Date) => Uint8Array,
): Promise<number> {
  if (term.head.range.size === 0 && state.edge.range.size === 0) {
    return await moveOn(state, async (edge) => {
      await term.putBack((head) =>
        planBatch(edge, head, [first(head.now)], (next) => (edge = next)),
      )
      return [1, edge]
    })
  }
  return await moveOn(state, async (edge) => {
    const count = await term.drain(BATCH, (head, leaves) => {
      const advanced = advance(edge, head, leaves)
      edge = advanced.edge
      return { tiles: advanced.tiles, range: edge.range }
    })
    return [count, edge]
  })
}

/** The edge is where the commit left it, and only then. */
async function moveOn(
  state: { edge: RightEdge },
  work: (edge: RightEdge) => Promise<[number, RightEdge]>,
): Promise<number> {
  const [count, edge] = await work(state.edge)
  state.edge = edge
  return count
}

/** Pure. @throws Error when the log is not where this instance left it: its term is over */
function advance(edge: RightEdge, head: LogHead, leaves: readonly Uint8Array[]) {
  if (head.range.size !== edge.range.size) throw new Error('the log is not where we left it')
  return extend(edge, leaves)
}

/** Pure. @throws as `advance` */
export function planBatch(
  edge: RightEdge,
  head: LogHead,
  bodies: readonly Uint8Array[],
  moved: (edge: RightEdge) => void,
): Plan {
  const leaves = bodies.map(hashLeaf)
  const { edge: next, tiles } = advance(edge, head, leaves)
  moved(next)
  const entries = bodies.map((body, at) => ({
    index: head.range.size + at,
    leaf: leaves[at] ?? new Uint8Array(),
    body,
    lookUp: null,
  }))
  return { entries, tiles, range: next.range }
}

/** Names the held record that this log is bound to, so that another one is not taken for it. */
export function firstEntry(held: Held, checkpointKey: string, now: Date): Uint8Array {
  const { storeId: store, origin } = held
  return encodeEntry({ kind: 'trust.initialised', store, origin, checkpointKey }, now).body
}

/** The edge at the beginning of a term, from what is stored: full tiles, and the leaves behind them. */
export async function loadEdge(store: AuditLogStore, { range }: LogHead): Promise<RightEdge> {
  if (range.size === 0) return emptyEdge
  const rows = await Promise.all(
    tileLevels(range.size).map(async ({ full, partial }, level) => {
      const from = full * TILE_WIDTH
      if (level === 0) return await store.leaves(from, from + partial)
      const tiles = await store.tiles(level - 1, from, from + partial)
      return tiles.map((tile) => tileRoot(decodeTile(tile, TILE_WIDTH)))
    }),
  )
  return { range, rows }
}
