/* oxlint-disable unicorn/require-post-message-target-origin -- a worker thread has no origin */
import { Worker } from 'node:worker_threads'
import type { PolicySet } from '../../../../src/policy/policy-set.ts'
import { policySetBytes } from '../../../../src/policy/canonical.ts'
import { openVerifier } from '../../../../src/ecdsa/native.ts'
import { TILE_WIDTH } from '../../../../src/audit/tile.ts'
import { examinePart, PART_BUNDLES } from './examine-part.ts'
import type { ExaminedPart, Part } from './examine-part.ts'

type Answer = { readonly examined: ExaminedPart } | { readonly failed: string }

/**
 * The parts of an exported log in their order, examined on several cores. Policies are told to the
 * workers when the log has told them; what was decided under others comes back to be examined here.
 * @param options.known the policies that the log has told so far
 */
export async function* examineParts(options: {
  readonly dir: string
  readonly size: number
  readonly workers: number
  readonly known: () => Iterable<PolicySet>
}): AsyncGenerator<ExaminedPart> {
  const { dir, size } = options
  const count = Math.ceil(size / (PART_BUNDLES * TILE_WIDTH))
  const first = await examinePart({ dir, size, part: 0 }, new Map(), openVerifier().verify)
  yield first
  if (!first.whole || count <= 1) return
  const pool = Array.from({ length: Math.min(options.workers, count - 1) }, () => openWorker())
  try {
    let next = 1
    const waiting: Promise<ExaminedPart>[] = []
    const ask = () => {
      const { ask: examine } = pool[next % pool.length]!
      waiting.push(examine({ dir, size, part: next }, options.known()))
      next += 1
    }
    // Two parts for each worker, so that none waits while what it gave is looked at.
    const ahead = Math.min(2 * pool.length, count - 1)
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
  const told = new Set<PolicySet>()
  const calls: { resolve: (part: ExaminedPart) => void; reject: (error: Error) => void }[] = []
  worker.on('message', (answer: Answer) => {
    const call = calls.shift()
    if ('examined' in answer) call?.resolve(answer.examined)
    else call?.reject(new Error(answer.failed))
  })
  worker.on('error', (error) => {
    for (const call of calls.splice(0)) call.reject(error as Error)
  })
  return {
    ask: async (part: Part, known: Iterable<PolicySet>): Promise<ExaminedPart> => {
      const fresh = [...known].filter((set) => !told.has(set))
      if (fresh.length > 0) worker.postMessage({ policies: fresh.map(policySetBytes) })
      for (const set of fresh) told.add(set)
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
