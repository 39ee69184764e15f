import { createHash } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AuditError } from '../../src/audit/error.ts'
import { appendLeaves, emptyRange, hashLeaf } from '../../src/audit/merkle.ts'
import type { NodeId } from '../../src/audit/merkle.ts'
import {
  bundlePath,
  bundlesFrom,
  decodeBundle,
  decodeTile,
  encodeBundle,
  encodeTile,
  newTiles,
  nodeOfTile,
  tileLevels,
  tileOfNode,
  tilePath,
  TILE_LEVELS,
} from '../../src/audit/tile.ts'
import type { Tile } from '../../src/audit/tile.ts'
import { base64, entryAt, LARGE, vectors } from './vectors.ts'

const leaves = Array.from({ length: LARGE }, (_, index) => hashLeaf(entryAt(index)))
const rows: Uint8Array[][] = []
const nodes: [NodeId, Uint8Array][] = []
appendLeaves(emptyRange, leaves, (node, hash) => {
  nodes.push([node, hash])
  if (node.level % TILE_LEVELS === 0) (rows[node.level / TILE_LEVELS] ??= []).push(hash)
})
const hashesOf = ({ level, index, width }: Tile) =>
  rows[level]!.slice(index * 256, index * 256 + width)

test('70,000 entries are 273 full tiles and 112 hashes, one and 17, and one hash', () => {
  expect(tileLevels(LARGE)).toEqual([
    { full: 273, partial: 112 },
    { full: 1, partial: 17 },
    { full: 0, partial: 1 },
  ])
})

describe('as the Go tools have it', () => {
  test.each(vectors.tiles)('$path', ({ path, level, index, width, sha256 }) => {
    expect(tilePath({ level, index, width })).toBe(path)
    const bytes = encodeTile(hashesOf({ level, index, width }))
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(sha256)
    expect(newTiles(0, LARGE)).toContainEqual({ level, index, width })
  })

  test.each(Object.entries(vectors.paths))('the path %s', (path, { L, N, W }) => {
    const ours =
      L === -1 ? bundlePath({ index: N, width: W }) : tilePath({ level: L, index: N, width: W })
    expect(ours).toBe(path)
  })

  test('a bundle of entries', () => {
    const entries = [0, 1, 2, 3, 4].map(entryAt)
    expect(base64(encodeBundle(entries))).toBe(vectors.bundle)
    expect(decodeBundle(encodeBundle(entries), 5).map(base64)).toEqual(entries.map(base64))
  })
})

test('every node comes from one tile', () => {
  for (const [node, hash] of nodes.filter((_, at) => at % 97 === 0)) {
    const tile = tileOfNode(node, LARGE)
    expect(base64(nodeOfTile(node, hashesOf(tile)))).toBe(base64(hash))
  }
})

test('a node that the tree has not filled is in no tile', () => {
  expect(() => tileOfNode({ level: 0, index: LARGE }, LARGE)).toThrow(RangeError)
  expect(() => tileOfNode({ level: 7, index: 545 }, LARGE)).not.toThrow()
  expect(() => tileOfNode({ level: 7, index: 546 }, LARGE)).toThrow(RangeError)
})

test('what a log has grown by are its new tiles, and a partial one whenever it is wider', () => {
  expect(newTiles(0, 0)).toEqual([])
  expect(newTiles(300, 300)).toEqual([])
  expect(newTiles(255, 256)).toEqual([
    { level: 0, index: 0, width: 256 },
    { level: 1, index: 0, width: 1 },
  ])
  expect(newTiles(300, 301)).toEqual([{ level: 0, index: 1, width: 45 }])
  expect(bundlesFrom(250, 520)).toEqual([
    { index: 0, width: 256 },
    { index: 1, width: 256 },
    { index: 2, width: 8 },
  ])
})

test('growing step by step needs the same full tiles as growing at once', () => {
  const steps = fc.array(fc.integer({ min: 1, max: 900 }), { minLength: 1, maxLength: 12 })
  fc.assert(
    fc.property(steps, (growth) => {
      let size = 0
      const full: string[] = []
      for (const by of growth) {
        full.push(
          ...newTiles(size, size + by)
            .filter(({ width }) => width === 256)
            .map(tilePath),
        )
        size += by
      }
      const atOnce = newTiles(0, size).filter(({ width }) => width === 256)
      expect(full.toSorted()).toEqual(atOnce.map(tilePath).toSorted())
    }),
  )
})

describe('a file that is not what its name says', () => {
  test('a tile of another width', () => {
    const bytes = encodeTile(leaves.slice(0, 3))
    expect(decodeTile(bytes, 3).map(base64)).toEqual(leaves.slice(0, 3).map(base64))
    expect(() => decodeTile(bytes, 2)).toThrow(AuditError)
    expect(() => decodeTile(bytes.subarray(1), 3)).toThrow(AuditError)
  })

  test.each([
    ['fewer entries', (bytes: Uint8Array) => bytes, 3],
    ['more entries', (bytes: Uint8Array) => bytes, 1],
    ['an entry that is cut', (bytes: Uint8Array) => bytes.subarray(0, -1), 2],
    ['a byte more', (bytes: Uint8Array) => Buffer.concat([bytes, Buffer.of(0)]), 2],
    ['nothing', () => new Uint8Array(), 2],
  ])('a bundle with %s', (_, change, width) => {
    const bytes = encodeBundle([entryAt(0), entryAt(1)])
    expect(() => decodeBundle(change(bytes), width)).toThrow(AuditError)
  })

  test('an entry above 65,535 bytes has no place in a bundle', () => {
    expect(() => encodeBundle([new Uint8Array(65_535)])).not.toThrow()
    expect(() => encodeBundle([new Uint8Array(65_536)])).toThrow(RangeError)
  })
})

test('there are 64 levels of tiles, and no tile without a width', () => {
  expect(() => tilePath({ level: 64, index: 0, width: 1 })).toThrow(RangeError)
  expect(() => tilePath({ level: 0, index: 0, width: 0 })).toThrow(RangeError)
  expect(() => tilePath({ level: 0, index: 0, width: 257 })).toThrow(RangeError)
  expect(() => tilePath({ level: 0, index: -1, width: 1 })).toThrow(RangeError)
})
