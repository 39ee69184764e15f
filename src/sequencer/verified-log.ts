import { appendLeaves, compactRange, emptyRange, hashLeaf, rootOf } from '../audit/merkle.ts'
import type { CompactRange } from '../audit/merkle.ts'
import { decodeTile, TILE_LEVELS, TILE_WIDTH } from '../audit/tile.ts'
import { decode } from '@ipld/dag-cbor'
import type { Held } from './held.ts'
import { LogBroken } from './log-broken.ts'
import type { AuditLogStore } from './ports.ts'
import { tileRoot } from './right-edge.ts'

export type VerifiedLog = Awaited<ReturnType<typeof loadVerifiedLog>>

/** Entries read at once. */
const PAGE = 1024

/**
 * What this process knows of the log by its own hashing: the right edge, and the root of each full
 * tile, by which any entry can be checked at any time. Only bodies count; the database's own leaves
 * and tiles are used once, here, and believed since the held root comes of them.
 * @throws LogBroken when it is not the log that the held record tells of
 */
export async function loadVerifiedLog(store: AuditLogStore, held: Held) {
  const tileRoots = await readTileRoots(store, held)
  let range = ofTiles(tileRoots)
  /** Leaves that fill no tile yet. */
  let tail: Uint8Array[] = []
  let scrubbed = 0

  function append(bodies: readonly Uint8Array[]): void {
    range = appendLeaves(range, bodies.map(hashLeaf), ({ level, index }, hash) => {
      if (level === 0) tail.push(hash)
      if (level !== TILE_LEVELS) return
      tileRoots[index] = hash
      tail = []
    })
  }

  async function extendTo(size: number): Promise<void> {
    while (range.size < size) {
      const to = Math.min(size, range.size + PAGE)
      append(await readBodies(store, range.size, to))
    }
  }

  /** A tile of entries, or those behind the last full one, hashed again. */
  async function check(tile: number): Promise<void> {
    const from = tile * TILE_WIDTH
    const to = Math.min(from + TILE_WIDTH, range.size)
    const leaves = (await readBodies(store, from, to)).map(hashLeaf)
    const wrong =
      to - from === TILE_WIDTH
        ? !isSame(tileRoot(leaves), tileRoots[tile])
        : leaves.some((leaf, at) => !isSame(leaf, tail[at]))
    if (wrong) {
      throw new LogBroken(
        `entries ${from} to ${to - 1} in the database are not those that were checkpointed`,
      )
    }
  }

  await extendTo(held.size)
  await checkFirst(store, held)
  const log = {
    size: () => range.size,
    root: () => rootOf(range),
    extendTo,
    /**
     * Checks the newest entries, and the next `tiles` of all, round and round. One that is wrong is
     * where the next call begins.
     * @returns whether it came to the end of the log
     */
    async scrub(tiles: number): Promise<boolean> {
      const all = Math.ceil(range.size / TILE_WIDTH)
      if (all === 0) return true
      await check(all - 1)
      for (let count = 0; count < tiles; count += 1) {
        if (scrubbed >= all) {
          scrubbed = 0
          return true
        }
        await check(scrubbed)
        scrubbed += 1
      }
      return scrubbed >= all
    },
  }
  checkRoot(log, held)
  return log
}

/** @throws LogBroken when the database has another log, or another beginning of it */
export function checkRoot(log: { size(): number; root(): Uint8Array }, held: Held): void {
  if (log.size() === held.size && isSame(log.root(), held.root)) return
  throw new LogBroken(
    `the log in the database has another root at ${held.size} entries than the held record: it was rewritten`,
  )
}

/** A record of size 0 has no root to tell logs apart by. */
async function checkFirst(store: AuditLogStore, held: Held): Promise<void> {
  const [first] = await store.bodies(0, 1)
  if (first === undefined) return
  const entry: unknown = decode(first.body)
  const isObject = typeof entry === 'object' && entry !== null
  if (isObject && 'store' in entry && entry.store === held.storeId) return
  throw new LogBroken("the held record is another log's: the first entry names another one")
}

export function isSame(left: Uint8Array, right: Uint8Array | undefined): boolean {
  return right !== undefined && Buffer.compare(left, right) === 0
}

async function readTileRoots(store: AuditLogStore, held: Held): Promise<Uint8Array[]> {
  const count = Math.floor(held.size / TILE_WIDTH)
  const above = Math.floor(count / TILE_WIDTH)
  const roots: Uint8Array[] = []
  for (let from = 0; from < above; from += 64) {
    for (const tile of await store.tiles(1, from, Math.min(above, from + 64)))
      roots.push(...decodeTile(tile, TILE_WIDTH))
  }
  const rest = await store.tiles(0, above * TILE_WIDTH, count)
  for (const tile of rest) roots.push(tileRoot(decodeTile(tile, TILE_WIDTH)))
  if (roots.length === count) return roots.map((root) => new Uint8Array(root))
  throw new LogBroken(
    `the log in the database lacks tiles of the ${held.size} entries of the held record`,
  )
}

/** A tree over the roots of tiles is the tree of their entries. */
function ofTiles(roots: readonly Uint8Array[]): CompactRange {
  const { peaks } = appendLeaves(emptyRange, roots)
  return compactRange(roots.length * TILE_WIDTH, peaks)
}

async function readBodies(store: AuditLogStore, from: number, to: number): Promise<Uint8Array[]> {
  const rows = await store.bodies(from, to)
  const gap = rows.findIndex(({ index }, at) => index !== from + at)
  const strayed = rows.find(({ indexed }) => !indexed)
  if (strayed !== undefined) {
    throw new LogBroken(`entry ${strayed.index} is indexed in the database as something else`)
  }
  if (gap === -1 && rows.length === to - from) return rows.map(({ body }) => body)
  const missing = from + (gap === -1 ? rows.length : gap)
  throw new LogBroken(`entry ${missing} is missing in the database`)
}
