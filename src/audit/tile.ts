import { AuditError } from './error.ts'
import { HASH_BYTES, hashNode } from './merkle.ts'
import type { NodeId } from './merkle.ts'

/** C2SP tlog-tiles: eight levels of the tree in one tile. */
export const TILE_LEVELS = 8
export const TILE_WIDTH = 256

/** `level` counts tiles, not nodes; `width` is 256 for a full one. */
export type Tile = { readonly level: number; readonly index: number; readonly width: number }

/** Where an entry bundle or tile begins and ends within the log. */
export type Bundle = { readonly index: number; readonly width: number }

/** `tile/<L>/<N>[.p/<W>]`. @throws RangeError */
export function tilePath({ level, index, width }: Tile): string {
  if (!Number.isSafeInteger(level) || level < 0 || level > 63) {
    throw new RangeError(`no level of tiles: ${level}`)
  }
  return `tile/${level}/${numberPath(index)}${partialPath(width)}`
}

/** `tile/entries/<N>[.p/<W>]`. @throws RangeError */
export function bundlePath({ index, width }: Bundle): string {
  return `tile/entries/${numberPath(index)}${partialPath(width)}`
}

/** Three digits a folder, all but the last with an `x` before them: 1234067 is `x001/x234/067`. */
function numberPath(index: number): string {
  if (!Number.isSafeInteger(index) || index < 0) throw new RangeError(`no tile ${index}`)
  const digits = String(index)
  const padded = digits.padStart(Math.ceil(digits.length / 3) * 3, '0')
  const groups = padded.match(/.{3}/g) ?? []
  return groups.map((group, at) => (at === groups.length - 1 ? group : `x${group}`)).join('/')
}

function partialPath(width: number): string {
  if (!Number.isSafeInteger(width) || width < 1 || width > TILE_WIDTH) {
    throw new RangeError(`no tile is ${width} wide`)
  }
  return width === TILE_WIDTH ? '' : `.p/${width}`
}

/** How many tiles of each level a tree has: `full` ones, then one of `partial` hashes unless that is 0. */
export function tileLevels(size: number): { readonly full: number; readonly partial: number }[] {
  const levels = []
  for (let hashes = size; hashes > 0; hashes = Math.floor(hashes / TILE_WIDTH)) {
    levels.push({ full: Math.floor(hashes / TILE_WIDTH), partial: hashes % TILE_WIDTH })
  }
  return levels
}

/** The tiles that a tree of size `to` has and one of size `from` has not, lower levels first. */
export function newTiles(from: number, to: number): Tile[] {
  const before = tileLevels(from)
  return tileLevels(to).flatMap(({ full, partial }, level): Tile[] => {
    const old = before[level] ?? { full: 0, partial: 0 }
    const tiles: Tile[] = []
    for (let index = old.full; index < full; index++) {
      tiles.push({ level, index, width: TILE_WIDTH })
    }
    const same = old.full === full && old.partial === partial
    if (partial > 0 && !same) tiles.push({ level, index: full, width: partial })
    return tiles
  })
}

/** The bundles of a log of `size` entries that hold those from `from` on. */
export function bundlesFrom(from: number, size: number): Bundle[] {
  return newTiles(from, size)
    .filter(({ level }) => level === 0)
    .map(({ index, width }) => ({ index, width }))
}

/** The tile whose hashes a node is made of, in a tree of `size`. @throws RangeError */
export function tileOfNode({ level, index }: NodeId, size: number): Tile {
  const tileLevel = Math.floor(level / TILE_LEVELS)
  const leavesOfHash = TILE_WIDTH ** tileLevel
  const first = index * 2 ** (level % TILE_LEVELS)
  const tile = Math.floor(first / TILE_WIDTH)
  const width = Math.min(TILE_WIDTH, Math.floor(size / leavesOfHash) - tile * TILE_WIDTH)
  if (first - tile * TILE_WIDTH + 2 ** (level % TILE_LEVELS) > width) {
    throw new RangeError(`a tree of ${size} has no node ${index} at level ${level}`)
  }
  return { level: tileLevel, index: tile, width }
}

/** @param hashes of the tile that `tileOfNode` names */
export function nodeOfTile({ level, index }: NodeId, hashes: readonly Uint8Array[]): Uint8Array {
  const width = 2 ** (level % TILE_LEVELS)
  const start = (index * width) % TILE_WIDTH
  let row = hashes.slice(start, start + width)
  if (row.length !== width) throw new RangeError('the tile is too narrow for the node')
  while (row.length > 1) {
    row = row.flatMap((left, at) => (at % 2 === 0 ? [hashNode(left, row[at + 1]!)] : []))
  }
  return row[0]!
}

export function encodeTile(hashes: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(hashes)
}

/** @throws AuditError `malformed` when it is not exactly `width` hashes */
export function decodeTile(bytes: Uint8Array, width: number): Uint8Array[] {
  if (bytes.length !== width * HASH_BYTES) {
    throw new AuditError('malformed', `a tile of ${width} hashes has ${bytes.length} bytes`)
  }
  return Array.from({ length: width }, (_, at) =>
    bytes.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES),
  )
}

/** Each entry after its length, a big-endian uint16. @throws RangeError for one above 65,535 bytes */
export function encodeBundle(entries: readonly Uint8Array[]): Uint8Array {
  const size = entries.reduce((sum, { length }) => sum + 2 + length, 0)
  const bytes = Buffer.alloc(size)
  let offset = 0
  for (const entry of entries) {
    offset = bytes.writeUInt16BE(entry.length, offset)
    bytes.set(entry, offset)
    offset += entry.length
  }
  return bytes
}

/** Views into `bytes`. @throws AuditError `malformed` when it is not exactly `width` entries */
export function decodeBundle(bytes: Uint8Array, width: number): Uint8Array[] {
  const entries: Uint8Array[] = []
  let offset = 0
  while (offset + 2 <= bytes.length && entries.length < width) {
    const end = offset + 2 + bytes[offset]! * 256 + bytes[offset + 1]!
    if (end > bytes.length) break
    entries.push(bytes.subarray(offset + 2, end))
    offset = end
  }
  if (entries.length === width && offset === bytes.length) return entries
  throw new AuditError('malformed', `a bundle of ${width} entries ends within one, or has more`)
}
