import { appendLeaves, emptyRange, rootOf } from '../audit/merkle.ts'
import type { CompactRange } from '../audit/merkle.ts'
import { TILE_LEVELS, TILE_WIDTH } from '../audit/tile.ts'

export type FullTile = {
  readonly level: number
  readonly index: number
  readonly hashes: readonly Uint8Array[]
}

/** The compact range, and at each level of tiles the hashes that fill no tile yet. */
export type RightEdge = {
  readonly range: CompactRange
  readonly rows: readonly (readonly Uint8Array[])[]
}

export const emptyEdge: RightEdge = { range: { size: 0, peaks: [] }, rows: [] }

/** What a full tile is at the level above it. */
export function tileRoot(hashes: readonly Uint8Array[]): Uint8Array {
  return rootOf(appendLeaves(emptyRange, hashes))
}

/** Pure: the edge before it stays as it is, so that a transaction that fails has changed nothing. */
export function extend(
  edge: RightEdge,
  leaves: readonly Uint8Array[],
): { readonly edge: RightEdge; readonly tiles: readonly FullTile[] } {
  const rows = edge.rows.map((row) => [...row])
  const tiles: FullTile[] = []
  const range = appendLeaves(edge.range, leaves, ({ level, index }, hash) => {
    if (level % TILE_LEVELS !== 0) return
    const row = (rows[level / TILE_LEVELS] ??= [])
    row.push(hash)
    if (row.length < TILE_WIDTH) return
    tiles.push({
      level: level / TILE_LEVELS,
      index: Math.floor(index / TILE_WIDTH),
      hashes: row.splice(0),
    })
  })
  return { edge: { range, rows }, tiles }
}
