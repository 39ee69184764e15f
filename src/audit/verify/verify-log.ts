import type { EcdsaVerify } from '../../plc/signature.ts'
import type { Checkpoint } from '../checkpoint.ts'
import { appendLeaves, emptyRange, HASH_BYTES, rootOf } from '../merkle.ts'
import type { CompactRange, Visit } from '../merkle.ts'
import { encodeTile, TILE_LEVELS, TILE_WIDTH, tilePath } from '../tile.ts'
import type { Tile } from '../tile.ts'
import type { Restored } from './deeds.ts'
import type { KnownRules } from './examine.ts'
import type { Fact, Finding } from './fact.ts'
import { isEqual } from './is-equal.ts'
import { createStory } from './story.ts'

/** Entries in their order, each examined by itself. */
export type Run = {
  readonly start: number
  readonly leaves: readonly Uint8Array[]
  readonly facts: readonly Fact[]
  /** What stands behind them and is no bundle of entries; null: nothing like it. */
  readonly bad: string | null
}

/** A size and root that the auditor has from elsewhere. */
export type Anchor = Pick<Checkpoint, 'size' | 'root'> & { readonly name: string }

export type Report = {
  readonly verdict: 'sound' | 'tampered' | 'incomplete'
  readonly size: number
  readonly entries: number
  readonly signatures: number
  /** What is wrong: each alone makes the log one that was tampered with. */
  readonly findings: readonly Finding[]
  /** What was not there, or cannot be judged here. */
  readonly missing: readonly Finding[]
  /** Hex digests of the policies that were in force. */
  readonly policies: readonly string[]
}

export type VerifyInput = {
  readonly checkpoint: Checkpoint
  /** The vkey that signed it, which the log's first entry names. */
  readonly checkpointKey: string
  readonly anchors: readonly Anchor[]
  /** What lacks for an anchor that tells of a tail cut off; null where there is one. */
  readonly unanchored: string | null
  /** Without gaps, from the first entry on; ends early where entries are missing. Told the rules so far. */
  readonly runs: (known: KnownRules) => AsyncIterable<Run>
  /** The tile's file; null where there is none. */
  readonly tile: (tile: Tile) => Promise<Uint8Array | null>
  readonly verify: EcdsaVerify
}

/**
 * Judges a whole log: every leaf hashed into the tree of its checkpoint, the tree of every anchor its
 * beginning, every tile the one that others would read, and the entries held against each other.
 */
export async function verifyLog(input: VerifyInput): Promise<Report> {
  const { checkpoint, anchors } = input
  const story = createStory(input.verify)
  const findings: Finding[] = anchorsBeyond(checkpoint, anchors)
  const missing: Finding[] = []
  const tree = createTree(input)
  const names = createNames()
  for await (const run of input.runs(story.known)) {
    await tree.append(run.leaves)
    for (const fact of run.facts) {
      if (fact.index === 0 || isFork(fact)) names.take(fact)
      await story.take(fact)
    }
    if (run.bad !== null) findings.push({ index: tree.size(), message: run.bad })
  }
  await tree.close()
  findings.push(...(await restoredProblems(story.restored, input)))
  findings.push(...names.check(input))
  if (tree.size() < checkpoint.size) {
    missing.push({ index: tree.size(), message: 'entries from here on are not there' })
  } else if (!isEqual(tree.root(), checkpoint.root)) {
    findings.push({ index: null, message: 'the entries have another root than the checkpoint' })
  }
  if (input.unanchored !== null) missing.push({ index: null, message: input.unanchored })
  const wrong = [...findings, ...tree.findings, ...story.findings]
  const lacks = [...missing, ...tree.missing, ...story.unjudged]
  return {
    verdict: wrong.length > 0 ? 'tampered' : lacks.length > 0 ? 'incomplete' : 'sound',
    size: checkpoint.size,
    entries: tree.size(),
    signatures: story.signatures(),
    findings: wrong,
    missing: lacks,
    policies: [...story.known.policies.keys()],
  }
}

/** A log is never smaller than it was. */
function anchorsBeyond({ size }: Checkpoint, anchors: readonly Anchor[]): Finding[] {
  return anchors
    .filter((anchor) => anchor.size > size)
    .map((anchor) => ({
      index: null,
      message: `${anchor.name} has ${anchor.size} entries, the log ${size}: its tail was cut off`,
    }))
}

/** What was put back into a database is what this log has: its first entries, by the root that was told. */
async function restoredProblems(
  restored: readonly Restored[],
  { checkpoint, tile }: VerifyInput,
): Promise<Finding[]> {
  const findings: Finding[] = []
  for (const { index, size, root } of restored) {
    let range = emptyRange
    while (range.size < size) {
      const at = Math.floor(range.size / TILE_WIDTH)
      const width = Math.min(TILE_WIDTH, checkpoint.size - at * TILE_WIDTH)
      const hashes = await tile({ level: 0, index: at, width })
      // A tile that is not there, or is another one, is told where it belongs.
      if (hashes === null || hashes.length !== width * HASH_BYTES) break
      range = appendLeaves(range, leavesIn(hashes, Math.min(width, size - range.size)))
    }
    if (range.size !== size || isEqual(rootOf(range), root)) continue
    findings.push({ index, message: `another root than that of ${size} entries was put back` })
  }
  return findings
}

function leavesIn(hashes: Uint8Array, count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, at) =>
    hashes.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES),
  )
}

const isFork = (fact: Fact): boolean => fact.is === 'plain' && fact.of.kind === 'log.forked'

/**
 * The first entry binds the log to its name and to the key that signs its checkpoints; where entries were
 * lost for good, a later one gives it a new name.
 */
function createNames() {
  const findings: Finding[] = []
  let origin: string | null = null
  let key: string | null = null
  return {
    take(fact: Fact): void {
      const entry = fact.is === 'plain' ? fact.of : null
      const isFirst = fact.index === 0
      if (isFirst ? entry?.kind !== 'trust.initialised' : entry?.kind !== 'log.forked') {
        findings.push({ index: fact.index, message: 'the first entry does not begin a log' })
        return
      }
      if (entry?.kind === 'log.forked' && entry.from !== origin) {
        const message = 'it goes on from another log than this one'
        findings.push({ index: fact.index, message })
      }
      if (entry?.kind === 'trust.initialised' || entry?.kind === 'log.forked') {
        origin = entry.origin
        key = entry.checkpointKey
      }
    },
    check({ checkpoint, checkpointKey }: VerifyInput): Finding[] {
      if (findings.length > 0) return findings
      if (origin === null || (origin === checkpoint.origin && key === checkpointKey)) return []
      return [{ index: 0, message: 'the first entry names another log or another checkpoint key' }]
    },
  }
}

function createTree({ checkpoint, anchors, tile }: VerifyInput) {
  const findings: Finding[] = []
  const missing: Finding[] = []
  const rows: Uint8Array[][] = []
  const done: Tile[] = []
  const hashes = new Map<Tile, readonly Uint8Array[]>()
  let range: CompactRange = emptyRange

  const visit: Visit = ({ level, index }, hash) => {
    if (level % TILE_LEVELS !== 0) return
    const tileLevel = level / TILE_LEVELS
    const row = (rows[tileLevel] ??= [])
    row.push(hash)
    if (row.length === TILE_WIDTH) finish(tileLevel, Math.floor(index / TILE_WIDTH))
  }

  function finish(level: number, index: number): void {
    const row = rows[level] ?? []
    const named: Tile = { level, index, width: row.length }
    done.push(named)
    hashes.set(named, row)
    rows[level] = []
  }

  async function compareTiles(): Promise<void> {
    for (const named of done.splice(0)) {
      const expected = encodeTile(hashes.get(named) ?? [])
      hashes.delete(named)
      const found = await tile(named)
      if (found === null) missing.push({ index: null, message: `${tilePath(named)} is not there` })
      else if (!isEqual(found, expected)) {
        findings.push({ index: null, message: `${tilePath(named)} is not of these entries` })
      }
    }
  }

  function checkAnchors(): void {
    for (const { name, size, root } of anchors) {
      if (size !== range.size || isEqual(root, rootOf(range))) continue
      findings.push({ index: null, message: `${name} has another root at ${size} entries` })
    }
  }

  checkAnchors()
  return {
    findings,
    missing,
    size: () => range.size,
    root: () => rootOf(range),
    async append(leaves: readonly Uint8Array[]): Promise<void> {
      const stops = anchors.map(({ size }) => size - range.size)
      const inside = stops.filter((stop) => stop > 0 && stop < leaves.length)
      let from = 0
      for (const to of [...new Set([...inside, leaves.length])].toSorted((a, b) => a - b)) {
        range = appendLeaves(range, leaves.slice(from, to), visit)
        checkAnchors()
        from = to
      }
      await compareTiles()
    },
    /** What is left in each row is the partial tile of a whole log. */
    async close(): Promise<void> {
      if (range.size !== checkpoint.size) return
      for (const [level, row] of rows.entries()) {
        const total = Math.floor(range.size / TILE_WIDTH ** level)
        if (row.length > 0) finish(level, Math.floor(total / TILE_WIDTH))
      }
      await compareTiles()
    },
  }
}
