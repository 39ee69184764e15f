/* oxlint-disable unicorn/require-post-message-target-origin -- a worker thread has no origin */
import { Worker } from 'node:worker_threads'
import type { KnownRules } from '../../../../src/audit/verify/examine.ts'
import { policySetBytes } from '../../../../src/policy/canonical.ts'
import { rosterBytes } from '../../../../src/policy/parse/roster.ts'
import { openVerifier } from '../../../../src/ecdsa/native.ts'
import { HASH_BYTES } from '../../../../src/audit/merkle.ts'
import { TILE_WIDTH } from '../../../../src/audit/tile.ts'
import { examinePart } from './examine-part.ts'
import type { ExaminedPart, Part } from './examine-part.ts'
import type { PackedPart, Told } from './worker.ts'

/** Bundles that a worker examines at once. */
const PART_BUNDLES = 32

type Answer = { readonly examined: PackedPart } | { readonly failed: string }

/**
 * The parts of an exported log in their order, examined on several cores. Rules are told to the
 * workers when the log has told them; what was decided under others comes back to be examined here.
 * @param options.known what the log has told so far
 */
export async function* examineParts(options: {
  readonly dir: string
  readonly size: number
  readonly workers: number
  readonly known: KnownRules
}): AsyncGenerator<ExaminedPart> {
  const { dir, size, known } = options
  const bundles = Math.ceil(size / TILE_WIDTH)
  const { verify } = openVerifier()
  // The rules come first in a log: a short part tells them, before they are needed by all.
  const first = await examinePart({ dir, size, from: 0, bundles: 1 }, known, verify)
  yield first
  if (!first.whole || bundles <= 1) return
  const count = Math.ceil((bundles - 1) / PART_BUNDLES)
  const partAt = (at: number) => ({ dir, size, from: 1 + at * PART_BUNDLES, bundles: PART_BUNDLES })
  if (count === 1) {
    // Sooner done than a worker has started.
    yield await examinePart(partAt(0), known, verify)
    return
  }
  const pool = Array.from({ length: Math.min(options.workers, count) }, () => openWorker())
  try {
    let next = 0
    const waiting: Promise<ExaminedPart>[] = []
    const ask = () => {
      const { ask: examine } = pool[next % pool.length]!
      waiting.push(examine(partAt(next), known))
      next += 1
    }
    // Two parts for each worker, so that none waits while what it gave is looked at.
    const ahead = Math.min(2 * pool.length, count)
    for (let asked = 0; asked < ahead; asked += 1) ask()
    for (let part = waiting.shift(); part !== undefined; part = waiting.shift()) {
      const examined = await part
      if (next < count) ask()
      yield examined
      if (!examined.whole) return
    }
  } finally {
    await Promise.all(pool.map(async ({ close }) => await close()))
  }
}

function openWorker() {
  const worker = new Worker(new URL('./worker.ts', import.meta.url))
  const told = new Set<object>()
  const calls: { resolve: (part: ExaminedPart) => void; reject: (error: Error) => void }[] = []
  worker.on('message', (answer: Answer) => {
    const call = calls.shift()
    if ('examined' in answer) call?.resolve(unpacked(answer.examined))
    else call?.reject(new Error(answer.failed))
  })
  worker.on('error', (error) => {
    for (const call of calls.splice(0)) call.reject(error as Error)
  })
  return {
    ask: async (part: Part, known: KnownRules): Promise<ExaminedPart> => {
      const untold = freshOf(known, told)
      if (untold !== null) worker.postMessage(untold)
      return await new Promise((resolve, reject) => {
        calls.push({ resolve, reject })
        worker.postMessage({ part })
      })
    },
    close: async () => {
      await worker.terminate()
    },
  }
}

function unpacked({ leaves, ...rest }: PackedPart): ExaminedPart {
  const count = leaves.length / HASH_BYTES
  const each = (_: unknown, at: number) => leaves.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES)
  return { ...rest, leaves: Array.from({ length: count }, each) }
}

/** What this worker does not know yet; null: nothing. */
function freshOf({ policies, rosters }: KnownRules, told: Set<object>): Told | null {
  const sets = [...policies.values()].filter((set) => !told.has(set))
  const epochs = rosters.filter((roster) => !told.has(roster))
  for (const rules of [...sets, ...epochs]) told.add(rules)
  if (sets.length + epochs.length === 0) return null
  return { policies: sets.map(policySetBytes), rosters: epochs.map(rosterBytes) }
}
