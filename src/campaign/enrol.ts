import { FOREIGN, whyRefused } from '../custody/enroll.ts'
import type { EnrolmentStore } from '../custody/enroll.ts'
import { StoreBusyError } from '../custody/ports.ts'
import type { VerifiedLog } from '../plc/log.ts'
import type { PolicySet } from '../policy/policy-set.ts'
import { systemClock } from './clock.ts'
import type { Clock } from './clock.ts'
import type { NotDone, Outcome } from './outcome.ts'
import { backoffMs } from './pace.ts'

export type EnrolDeps = {
  readonly store: EnrolmentStore
  readonly policies: PolicySet
  readonly clock?: Clock
}

/** Who enrols, and who is told what became of each identity, once it is committed. */
export type Enrolment = {
  readonly caller: string
  readonly report: (outcome: Outcome) => void
}

/**
 * Takes verified logs of different identities into care, in one transaction: a crash leaves all of
 * them in care, whole, or none.
 */
export async function enrolBatch(
  logs: readonly VerifiedLog[],
  deps: EnrolDeps,
  { caller, report }: Enrolment,
): Promise<void> {
  const fit: VerifiedLog[] = []
  for (const log of logs) {
    const reason = whyRefused(log, caller, deps.policies)
    if (reason === null) fit.push(log)
    else report({ kind: 'refused', did: log.did, reason })
  }
  if (fit.length === 0) return
  const kept = await patiently(deps, async () => await deps.store.enrollAll(fit, caller))
  for (const { did, head } of fit) {
    const outcome = kept.get(did) ?? 'foreign'
    report(outcome === 'foreign' ? foreign(did) : { kind: outcome, did, head: head.cid })
  }
}

const MAX_BUSY = 6

/** A database that is restarting or overloaded is waited for: nothing was written. */
export async function patiently<T>(
  { clock = systemClock }: Pick<EnrolDeps, 'clock'>,
  work: () => Promise<T>,
): Promise<T> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof StoreBusyError) || attempt === MAX_BUSY) throw error
      await clock.sleep(backoffMs(attempt))
    }
  }
}

export function foreign(did: string): NotDone {
  return { kind: 'refused', did, reason: FOREIGN }
}
