import { hash } from 'node:crypto'

/** RFC 6962 section 2 with SHA-256, as C2SP tlog-tiles asks for. All hashes are 32 bytes. */
export const HASH_BYTES = 32

const LEAF = 0x00
const NODE = 0x01

/** The root of the subtree over the leaves `index * 2^level` up to `(index + 1) * 2^level`. */
export type NodeId = { readonly level: number; readonly index: number }

/**
 * The right edge of a tree: the roots of its perfect subtrees, largest first, one for each bit of
 * `size`. It is all that is needed to append, and to tell the root.
 */
export type CompactRange = { readonly size: number; readonly peaks: readonly Uint8Array[] }

/** Told of every node of which the whole subtree is there, each exactly once, in order of completion. */
export type Visit = (node: NodeId, hash: Uint8Array) => void

/** The hashes of a proof come from `needs`; each is folded from as many of them as `parts` says. */
export type ProofPlan = { readonly needs: readonly NodeId[]; readonly parts: readonly number[] }

export const emptyRange: CompactRange = { size: 0, peaks: [] }

export function hashLeaf(entry: Uint8Array): Uint8Array {
  const input = new Uint8Array(1 + entry.length)
  input[0] = LEAF
  input.set(entry, 1)
  return sha256(input)
}

export function hashNode(left: Uint8Array, right: Uint8Array): Uint8Array {
  const input = new Uint8Array(1 + 2 * HASH_BYTES)
  input[0] = NODE
  input.set(left, 1)
  input.set(right, 1 + HASH_BYTES)
  return sha256(input)
}

/**
 * What was kept of a right edge, given the form of one.
 * @throws RangeError when there is not one hash of 32 bytes for each bit of the size
 */
export function compactRange(size: number, peaks: readonly Uint8Array[]): CompactRange {
  requireSize(size)
  if (peaks.length !== spans(0, size).length || peaks.some((peak) => peak.length !== HASH_BYTES)) {
    throw new RangeError(`${peaks.length} hashes are no right edge of a tree of ${size}`)
  }
  return { size, peaks }
}

/** @param leaves leaf hashes, in order */
export function appendLeaves(
  range: CompactRange,
  leaves: readonly Uint8Array[],
  visit: Visit = () => {},
): CompactRange {
  const peaks = [...range.peaks]
  let { size } = range
  for (const leaf of leaves) {
    let node = leaf
    let level = 0
    let index = size
    visit({ level, index }, node)
    for (; index % 2 === 1; level += 1, visit({ level, index }, node)) {
      node = hashNode(peaks.pop()!, node)
      index = (index - 1) / 2
    }
    peaks.push(node)
    size += 1
  }
  return { size, peaks }
}

/** The hash of no input for an empty tree. */
export function rootOf({ peaks }: CompactRange): Uint8Array {
  return peaks.length === 0 ? sha256(new Uint8Array()) : foldPeaks(peaks)
}

/** Section 2.1.1, the audit path of a leaf, from the leaf up. @throws RangeError */
export function inclusionPlan(index: number, size: number): ProofPlan {
  requireSize(size)
  if (!Number.isSafeInteger(index) || index < 0 || index >= size) {
    throw new RangeError(`a tree of ${size} has no leaf ${index}`)
  }
  const siblings: Span[] = []
  let [from, to] = [0, size]
  while (to - from > 1) {
    const split = from + splitOf(to - from)
    siblings.push(index < split ? [split, to] : [from, split])
    if (index < split) to = split
    else from = split
  }
  return planOf(siblings.toReversed())
}

/** Section 2.1.2: that the tree of size `to` begins with the tree of size `from`. @throws RangeError */
export function consistencyPlan(from: number, to: number): ProofPlan {
  requireSize(from)
  requireSize(to)
  if (from > to) throw new RangeError(`a tree of ${to} cannot begin with one of ${from}`)
  if (from === 0 || from === to) return planOf([])
  const path: Span[] = []
  let [low, high, whole] = [0, to, true]
  while (high !== from) {
    const split = low + splitOf(high - low)
    if (from <= split) {
      path.push([split, high])
      high = split
    } else {
      path.push([low, split])
      low = split
      whole = false
    }
  }
  // Where the old tree is a subtree as it stands, whoever verifies has its root already.
  return planOf([...(whole ? [] : [[low, high] as const]), ...path.toReversed()])
}

/** @param hashes of the plan's `needs`, in their order */
export function proofOf({ parts }: ProofPlan, hashes: readonly Uint8Array[]): Uint8Array[] {
  let start = 0
  return parts.map((count) => {
    const peaks = hashes.slice(start, start + count)
    if (peaks.length !== count) throw new RangeError('the plan of a proof needs more hashes')
    start += count
    return foldPeaks(peaks)
  })
}

export type Inclusion = {
  readonly index: number
  readonly size: number
  readonly leaf: Uint8Array
  readonly proof: readonly Uint8Array[]
  readonly root: Uint8Array
}

/** RFC 9162 section 2.1.3.2. */
export function verifyInclusion({ index, size, leaf, proof, root }: Inclusion): boolean {
  if (!isSize(size) || !Number.isSafeInteger(index) || index < 0 || index >= size) return false
  let hash = leaf
  let [node, last] = [index, size - 1]
  for (const sibling of proof) {
    if (last === 0 || sibling.length !== HASH_BYTES) return false
    if (node % 2 === 1 || node === last) {
      hash = hashNode(sibling, hash)
      // A node without a sibling at this level goes up as it is.
      while (node % 2 === 0 && node !== 0) [node, last] = [node / 2, half(last)]
    } else {
      hash = hashNode(hash, sibling)
    }
    ;[node, last] = [half(node), half(last)]
  }
  return last === 0 && isSame(hash, root)
}

export type Consistency = {
  readonly from: { readonly size: number; readonly root: Uint8Array }
  readonly to: { readonly size: number; readonly root: Uint8Array }
  readonly proof: readonly Uint8Array[]
}

/** RFC 9162 section 2.1.4.2. Any tree begins with the empty one, whose root must be the hash of nothing. */
export function verifyConsistency({ from, to, proof }: Consistency): boolean {
  if (!isSize(from.size) || !isSize(to.size) || from.size > to.size) return false
  if (from.size === to.size) return proof.length === 0 && isSame(from.root, to.root)
  if (from.size === 0) return proof.length === 0 && isSame(from.root, rootOf(emptyRange))
  const path = isPowerOfTwo(from.size) ? [from.root, ...proof] : [...proof]
  let [node, last] = [from.size - 1, to.size - 1]
  while (node % 2 === 1) [node, last] = [half(node), half(last)]
  const first = path.shift()
  if (first === undefined || first.length !== HASH_BYTES) return false
  let [oldRoot, newRoot] = [first, first]
  for (const sibling of path) {
    if (last === 0 || sibling.length !== HASH_BYTES) return false
    if (node % 2 === 1 || node === last) {
      oldRoot = hashNode(sibling, oldRoot)
      newRoot = hashNode(sibling, newRoot)
      while (node % 2 === 0 && node !== 0) [node, last] = [node / 2, half(last)]
    } else {
      newRoot = hashNode(newRoot, sibling)
    }
    ;[node, last] = [half(node), half(last)]
  }
  return last === 0 && isSame(oldRoot, from.root) && isSame(newRoot, to.root)
}

/** Leaves from the first number up to, and without, the second. */
type Span = readonly [from: number, to: number]

function planOf(list: readonly Span[]): ProofPlan {
  const nodes = list.map(([from, to]) => spans(from, to))
  return { needs: nodes.flat(), parts: nodes.map(({ length }) => length) }
}

/** The perfect subtrees of a span that begins where a subtree of its size would, largest first. */
function spans(from: number, to: number): NodeId[] {
  const nodes: NodeId[] = []
  let start = from
  while (start < to) {
    let [level, width] = [0, 1]
    while (width * 2 <= to - start) [level, width] = [level + 1, width * 2]
    nodes.push({ level, index: start / width })
    start += width
  }
  return nodes
}

function foldPeaks(peaks: readonly Uint8Array[]): Uint8Array {
  return peaks.slice(0, -1).reduceRight((right, left) => hashNode(left, right), peaks.at(-1)!)
}

/** The largest power of two below the size, which is at least 2. */
function splitOf(size: number): number {
  let split = 1
  while (split * 2 < size) split *= 2
  return split
}

// Bit operators would cut sizes to 32 bits.
const half = (value: number): number => Math.floor(value / 2)

function isPowerOfTwo(size: number): boolean {
  return spans(0, size).length === 1
}

function isSize(size: number): boolean {
  return Number.isSafeInteger(size) && size >= 0
}

function requireSize(size: number): void {
  if (!isSize(size)) throw new RangeError(`no size of a tree: ${size}`)
}

/** Roots are public: nothing is learned from the time that this takes. */
function isSame(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && Buffer.compare(left, right) === 0
}

function sha256(input: Uint8Array): Uint8Array {
  return new Uint8Array(hash('sha256', input, 'buffer'))
}
