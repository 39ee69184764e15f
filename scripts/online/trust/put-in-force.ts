import { setTimeout as sleep } from 'node:timers/promises'
import type { AuditEntry } from '../../../src/audit/entry.ts'
import type { Context } from '../../../src/context.ts'
import { withTrust } from '../../../src/in-force.ts'
import { firstHeld } from '../../../src/open-log.ts'
import type { PolicySet } from '../../../src/policy/policy-set.ts'
import { changeHeld } from '../../../src/sequencer/change-held.ts'
import type { Held } from '../../../src/sequencer/held.ts'
import { addNotice } from '../../../src/store/notices.ts'
import { recordPolicies, recordTrust } from '../../../src/store/policy-sets.ts'
import type { Acceptance } from '../../../src/approval/acceptance.ts'
import { renderAcceptance } from '../../../src/approval/acceptance.ts'
import { decodeTrust, recordOf } from '../../../src/trust/record.ts'
import type { TrustRecord } from '../../../src/trust/record.ts'
import { Refusal } from '../../offline/command.ts'

/** By then no instance claims a key any more under what was in force before. */
const STOPPED_AFTER_MS = 2_000

type Agreed = Extract<AuditEntry, { kind: 'trust.changed' }>['agreed']

export type Change = {
  readonly policies: PolicySet
  readonly by: 'operator' | 'officers'
  /** What officers agreed to, and how; null where nobody had to. */
  readonly agreed: Agreed
  readonly accepted: readonly Acceptance[]
  /** The record's bytes that all this was judged by; another change in between ends this one. */
  readonly before: Uint8Array | null
}

/**
 * The order: an entry that says so and the alarm, the record, and then, when all instances have stopped,
 * the new set in the log. Whoever dies before the record has changed nothing, and runs the command again;
 * whoever dies after it has, and the next start of the service writes the rest. The alarm comes before the
 * record, so that nobody changes it and stops the command before people are told.
 */
export async function putInForce(context: Context, change: Change): Promise<Held> {
  const { db, auditLog, config } = context
  const { policies, before } = change
  const record = recordOf(policies, before === null ? null : decodeTrust(before))
  await recordTrust(db, entriesOf(change, record))
  await addNotice(db, noticeOf(change, record))
  const held = await changeHeld(auditLog.held, (now) => {
    const current = now ?? firstHeld(config)
    const done = withTrust(current, policies)
    if (now !== null && done === now) return now
    if (!isSame(current.trust, before)) {
      throw new Refusal('something else was put in force meanwhile; look with "trust show"')
    }
    return done
  })
  if (before !== null) await sleep(STOPPED_AFTER_MS)
  await recordPolicies(db, policies)
  return held
}

function entriesOf({ policies, by, agreed, accepted }: Change, record: TrustRecord) {
  const { digest } = policies.roster ?? { digest: new Uint8Array(32) }
  return [
    {
      kind: 'trust.changed' as const,
      sequence: record.sequence,
      policies: record.policies,
      roster: record.roster,
      by,
      agreed,
    },
    ...accepted.map((acceptance) => ({
      kind: 'roster.accepted' as const,
      digest,
      document: new Uint8Array(Buffer.from(renderAcceptance(acceptance))),
    })),
  ]
}

function noticeOf({ policies, by }: Change, { sequence }: TrustRecord) {
  const policySet = Buffer.from(policies.digest).toString('hex')
  const epoch = policies.roster?.epoch ?? null
  return {
    kind: 'alarm' as const,
    event: 'trust-changed',
    // With the number of the change: a set that comes back is told again.
    subject: `${sequence} ${policySet} ${epoch ?? 'none'}`,
    detail: {
      message: `other policies or officers are put in force, by the ${by === 'operator' ? 'operator' : 'officers'}`,
      policySet,
      epoch,
    },
  }
}

function isSame(left: Uint8Array | null, right: Uint8Array | null): boolean {
  return left === null || right === null ? left === right : Buffer.compare(left, right) === 0
}
