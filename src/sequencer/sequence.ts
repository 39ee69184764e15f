import { encodeEntry } from '../audit/entry.ts'
import { hashLeaf } from '../audit/merkle.ts'
import { decodeTile, TILE_WIDTH, tileLevels } from '../audit/tile.ts'
import type { Held } from './held.ts'
import { emptyEdge, extend, tileRoot } from './right-edge.ts'
import type { RightEdge } from './right-edge.ts'
import type { AuditLogStore, Drained, LogHead, Plan, Sequencing } from './ports.ts'

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
  let extended = state.edge
  const plan = await term.drain(BATCH, (head, taken) => {
    const planned = planBatch(state.edge, head, withFirst(head, taken, first))
    extended = planned.edge
    return planned.plan
  })
  state.edge = extended
  return plan?.entries.length ?? 0
}

function withFirst(head: LogHead, taken: Drained[], first: (now: Date) => Uint8Array): Drained[] {
  if (head.range.size > 0) return taken
  return [{ id: -1n, lookUp: null, body: first(head.now) }, ...taken]
}

/** Pure. @throws Error when the log is not where this instance left it: its term is over */
export function planBatch(
  edge: RightEdge,
  head: LogHead,
  taken: readonly Drained[],
): { readonly edge: RightEdge; readonly plan: Plan } {
  if (head.range.size !== edge.range.size) throw new Error('the log is not where we left it')
  const entries = taken.map(({ body, lookUp }, at) => ({
    index: head.range.size + at,
    leaf: hashLeaf(body),
    body,
    lookUp,
  }))
  const extended = extend(
    edge,
    entries.map(({ leaf }) => leaf),
  )
  return {
    edge: extended.edge,
    plan: { entries, tiles: extended.tiles, range: extended.edge.range },
  }
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
