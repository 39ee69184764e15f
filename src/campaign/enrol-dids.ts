import { enrolBatch, foreign, patiently } from './enrol.ts'
import type { EnrolDeps, Enrolment } from './enrol.ts'
import { readEvidence } from './evidence.ts'
import type { EvidenceDeps } from './evidence.ts'

/** Answers that are waited for at once: the pace holds though each takes seconds. */
const WIDTH = 8
const CHUNK = 500
/** So many in a row without an answer, each tried several times: the rest would be the same. */
const GIVE_UP_AFTER = 20

export type DidsOptions = {
  /** Reads those again that are in care already; otherwise they are passed over. */
  readonly refresh: boolean
}

/**
 * Takes identities into care by their logs on the directory, each committed as soon as it is read: a
 * run that was killed has lost the reads under way and nothing else.
 * @param dids each once
 */
export async function enrolDids(
  dids: readonly string[],
  deps: EnrolDeps & EvidenceDeps,
  { refresh, ...enrolment }: Enrolment & DidsOptions,
): Promise<void> {
  let silent = 0
  const one = async (did: string): Promise<void> => {
    if (silent >= GIVE_UP_AFTER) {
      const reason = `not tried: the directory did not answer for ${GIVE_UP_AFTER} others before it`
      return enrolment.report({ kind: 'unread', did, reason })
    }
    const evidence = await readEvidence(did, deps)
    silent = evidence.kind === 'unread' ? silent + 1 : 0
    if (evidence.kind === 'log') return await enrolBatch([evidence.log], deps, enrolment)
    enrolment.report({ kind: evidence.kind, did, reason: evidence.reason })
  }
  for (let start = 0; start < dids.length; start += CHUNK) {
    const chunk = dids.slice(start, start + CHUNK)
    await inParallel(refresh ? chunk : await notInCare(chunk, deps, enrolment), one)
  }
}

async function notInCare(
  dids: readonly string[],
  deps: EnrolDeps,
  { caller, report }: Enrolment,
): Promise<readonly string[]> {
  const heads = dids.map((did) => ({ did, head: null }))
  const standing = await patiently(deps, async () => await deps.store.standing(caller, heads))
  return dids.filter((did) => {
    const known = standing.get(did)
    if (known === undefined) return true
    report(known === 'foreign' ? foreign(did) : { kind: 'already', did })
    return false
  })
}

/** After a failure nothing new is begun, and what is under way is waited for. */
async function inParallel(
  dids: readonly string[],
  one: (did: string) => Promise<void>,
): Promise<void> {
  const queue = dids.toReversed()
  const worker = async () => {
    for (let did = queue.pop(); did !== undefined; did = queue.pop()) {
      try {
        await one(did)
      } catch (error) {
        queue.length = 0
        throw error
      }
    }
  }
  const ends = await Promise.allSettled(Array.from({ length: WIDTH }, worker))
  const failed = ends.find((end) => end.status === 'rejected')
  if (failed !== undefined) throw failed.reason
}
