/* oxlint-disable unicorn/require-post-message-target-origin -- a worker thread has no origin */
import { parentPort } from 'node:worker_threads'
import { HASH_BYTES } from '../../../../src/audit/merkle.ts'
import { openVerifier } from '../../../../src/ecdsa/native.ts'
import { decodePolicySet } from '../../../../src/policy/canonical.ts'
import { decodeRoster } from '../../../../src/policy/parse/roster.ts'
import type { PolicySet } from '../../../../src/policy/policy-set.ts'
import type { Roster } from '../../../../src/policy/roster.ts'
import { examinePart } from './examine-part.ts'
import type { ExaminedPart, Part } from './examine-part.ts'

/** Rules as their canonical bytes. */
export type Told = {
  readonly policies: readonly Uint8Array[]
  readonly rosters: readonly Uint8Array[]
}
export type Job = { readonly part: Part } | Told

/** With the hashes of all leaves in one piece. */
export type PackedPart = Omit<ExaminedPart, 'leaves'> & { readonly leaves: Uint8Array }

const policies = new Map<string, PolicySet>()
const rosters: Roster[] = []
const { verify } = openVerifier()

parentPort?.on('message', (job: Job) => {
  if ('policies' in job) {
    for (const bytes of job.policies) {
      const set = decodePolicySet(bytes)
      policies.set(Buffer.from(set.digest).toString('hex'), set)
    }
    rosters.push(...job.rosters.map(decodeRoster))
    return
  }
  void answer(job.part)
})

async function answer(part: Part): Promise<void> {
  try {
    const examined = await examinePart(part, { policies, rosters }, verify)
    // One piece of memory that changes hands, for thousands that would be copied.
    const leaves = packed(examined.leaves)
    parentPort?.postMessage({ examined: { ...examined, leaves } }, [leaves.buffer])
  } catch (error) {
    parentPort?.postMessage({ failed: error instanceof Error ? error.message : String(error) })
  }
}

function packed(leaves: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(leaves.length * HASH_BYTES)
  for (const [at, leaf] of leaves.entries()) all.set(leaf, at * HASH_BYTES)
  return all
}
