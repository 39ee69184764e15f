import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs'
import { bundlePath, decodeBundle, TILE_WIDTH, tilePath } from '../../../../src/audit/tile.ts'
import type { Tile } from '../../../../src/audit/tile.ts'

/** No file of a tree that is served is larger: 256 entries of 60 kB. */
const MAX_BYTES = 16 * 1024 * 1024

/** A file of an exported tree; null when it is not there. @throws when it cannot be read */
export function readIn(dir: string, path: string): Uint8Array | null {
  let file: number
  try {
    file = openSync(`${dir}/${path}`, 'r')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
  try {
    const { size } = fstatSync(file)
    if (size > MAX_BYTES) throw new Error(`${path} has ${size} bytes`)
    return new Uint8Array(readFileSync(file))
  } finally {
    closeSync(file)
  }
}

/** Where a partial file is gone, the full one that came after it begins with the same. */
export function readTile(dir: string, tile: Tile): Uint8Array | null {
  const own = readIn(dir, tilePath(tile))
  if (own !== null || tile.width === TILE_WIDTH) return own
  const full = readIn(dir, tilePath({ ...tile, width: TILE_WIDTH }))
  return full?.subarray(0, tile.width * 32) ?? null
}

/** The entries of a bundle; null when it is not there. @throws AuditError `malformed` */
export function readBundle(dir: string, index: number, width: number): Uint8Array[] | null {
  const own = readIn(dir, bundlePath({ index, width }))
  if (own !== null) return decodeBundle(own, width)
  const full = width === TILE_WIDTH ? null : readIn(dir, bundlePath({ index, width: TILE_WIDTH }))
  return full === null ? null : decodeBundle(full, TILE_WIDTH).slice(0, width)
}
