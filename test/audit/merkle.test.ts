import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  appendLeaves,
  compactRange,
  consistencyPlan,
  emptyRange,
  hashLeaf,
  hashNode,
  inclusionPlan,
  proofOf,
  rootOf,
  verifyConsistency,
  verifyInclusion,
} from '../../src/audit/merkle.ts'
import type { NodeId, ProofPlan } from '../../src/audit/merkle.ts'
import { base64, entryAt, fromBase64, LARGE, vectors } from './vectors.ts'

const leaves = Array.from({ length: LARGE }, (_, index) => hashLeaf(entryAt(index)))
const nodes = new Map<string, Uint8Array>()
const nameOf = ({ level, index }: NodeId) => `${level} ${index}`
appendLeaves(emptyRange, leaves, (node, hash) => nodes.set(nameOf(node), hash))

const roots = new Map<number, Uint8Array>()
function rootAt(size: number): Uint8Array {
  const known = roots.get(size)
  const root = known ?? rootOf(appendLeaves(emptyRange, leaves.slice(0, size)))
  roots.set(size, root)
  return root
}
const hashes = (plan: ProofPlan) => plan.needs.map((node) => nodes.get(nameOf(node))!)
const prove = (plan: ProofPlan) => proofOf(plan, hashes(plan))

describe('as the Go tools have it', () => {
  test.each(vectors.roots)('the root of $size entries', ({ size, root }) => {
    expect(base64(rootAt(size))).toBe(root)
  })

  test('proofs of inclusion, byte for byte, and each verifies', () => {
    expect(vectors.inclusions.length).toBeGreaterThan(150)
    for (const { index, size, proof } of vectors.inclusions) {
      const ours = prove(inclusionPlan(index, size))
      expect(ours.map(base64)).toEqual(proof)
      const claim = { index, size, leaf: leaves[index]!, proof: ours, root: rootAt(size) }
      expect(verifyInclusion(claim)).toBe(true)
    }
  })

  test('proofs of consistency, byte for byte, and each verifies', () => {
    expect(vectors.consistencies.length).toBeGreaterThan(150)
    for (const { from, to, proof } of vectors.consistencies) {
      const ours = prove(consistencyPlan(from, to))
      expect(ours.map(base64)).toEqual(proof)
      expect(verifyConsistency(extension(from, to, ours))).toBe(true)
    }
  })
})

function extension(from: number, to: number, proof: readonly Uint8Array[]) {
  return {
    from: { size: from, root: rootAt(from) },
    to: { size: to, root: rootAt(to) },
    proof,
  }
}

describe('a proof of inclusion', () => {
  const [index, size] = [6, 13]
  const claim = {
    index,
    size,
    leaf: leaves[index]!,
    proof: prove(inclusionPlan(index, size)),
    root: rootAt(size),
  }

  test.each([
    ['another index', { index: 7 }],
    ['an index beyond the tree', { index: 13 }],
    ['another size', { size: 6 }],
    ['another leaf', { leaf: leaves[7]! }],
    ['another root', { root: rootAt(12) }],
    ['no path', { proof: [] }],
    ['a shorter path', { proof: claim.proof.slice(1) }],
    ['a longer path', { proof: [...claim.proof, leaves[0]!] }],
    ['a path in another order', { proof: claim.proof.toReversed() }],
    ['a hash that is cut', { proof: claim.proof.map((hash) => hash.subarray(1)) }],
  ])('does not hold for %s', (_, change) => {
    expect(verifyInclusion(claim)).toBe(true)
    expect(verifyInclusion({ ...claim, ...change })).toBe(false)
  })

  test('a node of the tree is no leaf of it', () => {
    const [left, right] = [leaves[0]!, leaves[1]!]
    const inner = Buffer.concat([left, right])
    expect(base64(hashLeaf(inner))).not.toBe(base64(hashNode(left, right)))
  })
})

describe('a proof of consistency', () => {
  const claim = extension(6, 13, prove(consistencyPlan(6, 13)))

  test.each([
    ['another old root', { from: { size: 6, root: rootAt(5) } }],
    ['another old size', { from: { size: 7, root: rootAt(6) } }],
    ['another new root', { to: { size: 13, root: rootAt(12) } }],
    ['a new tree that is smaller', { to: { size: 5, root: rootAt(5) } }],
    ['no path', { proof: [] }],
    ['a shorter path', { proof: claim.proof.slice(1) }],
    ['a longer path', { proof: [...claim.proof, leaves[0]!] }],
  ])('does not hold for %s', (_, change) => {
    expect(verifyConsistency(claim)).toBe(true)
    expect(verifyConsistency({ ...claim, ...change })).toBe(false)
  })

  test('of the same size has no path and the same root', () => {
    expect(verifyConsistency(extension(6, 6, []))).toBe(true)
    expect(verifyConsistency(extension(6, 6, [leaves[0]!]))).toBe(false)
    const forked = {
      from: { size: 6, root: rootAt(6) },
      to: { size: 6, root: rootAt(5) },
      proof: [],
    }
    expect(verifyConsistency(forked)).toBe(false)
  })

  test('from the empty tree holds for every tree, and the empty tree has one root', () => {
    expect(verifyConsistency(extension(0, 6, []))).toBe(true)
    const claimed = { ...extension(0, 6, []), from: { size: 0, root: rootAt(1) } }
    expect(verifyConsistency(claimed)).toBe(false)
  })
})

test('any tree proves every leaf, and every tree that it grew from', () => {
  const sizes = fc.tuple(fc.integer({ min: 1, max: 300 }), fc.nat(), fc.nat())
  fc.assert(
    fc.property(sizes, ([size, a, b]) => {
      const [index, from] = [a % size, (b % size) + 1]
      const proof = prove(inclusionPlan(index, size))
      const root = rootAt(size)
      expect(verifyInclusion({ index, size, leaf: leaves[index]!, proof, root })).toBe(true)
      const growth = extension(from, size, prove(consistencyPlan(from, size)))
      expect(verifyConsistency(growth)).toBe(true)
    }),
    { numRuns: 200 },
  )
})

test('a right edge that was kept goes on as if it had never stopped', () => {
  const kept = appendLeaves(emptyRange, leaves.slice(0, 1000))
  const again = compactRange(kept.size, kept.peaks)
  expect(base64(rootOf(appendLeaves(again, leaves.slice(1000, 1234))))).toBe(base64(rootAt(1234)))
  expect(() => compactRange(999, kept.peaks)).toThrow(RangeError)
  expect(() => compactRange(1, [fromBase64('AAAA')])).toThrow(RangeError)
})

test('sizes beyond 32 bits are exact', () => {
  const size = 2 ** 40 + 3
  expect(inclusionPlan(2 ** 40, size).parts).toHaveLength(3)
  expect(consistencyPlan(2 ** 40, size).needs).toEqual([
    { level: 1, index: 2 ** 39 },
    { level: 0, index: 2 ** 40 + 2 },
  ])
})

test('what no tree has is a RangeError', () => {
  expect(() => inclusionPlan(5, 5)).toThrow(RangeError)
  expect(() => inclusionPlan(-1, 5)).toThrow(RangeError)
  expect(() => inclusionPlan(0.5, 5)).toThrow(RangeError)
  expect(() => consistencyPlan(6, 5)).toThrow(RangeError)
})
