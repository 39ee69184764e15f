import { decodeUnsignedOperation } from '../plc/encode.ts'
import { limitedRules, evaluate } from '../policy/evaluate.ts'
import type { Decision } from '../policy/evaluate.ts'
import type { PreviousOperation, Subject } from '../policy/facts.ts'
import type { PolicySet } from '../policy/policy-set.ts'
import type { Matter } from '../approval/matter.ts'
import { matterOf } from '../approval/operation-matter.ts'
import type { Asked, StoredRequest } from './ports.ts'

/** A request that officers were asked about. */
export type AskedRequest = { readonly request: StoredRequest; readonly asked: Asked }

/** What officers are to judge, as the policy of today has it. */
export type AskedCase = {
  readonly matter: Matter
  readonly decision: Decision & { readonly kind: 'require' }
}

/**
 * The matter of a kept request, from its bytes and never from what was decided then. Limits are left to
 * whoever signs: they say when, not who.
 * @returns null when the policy of today does not ask officers for it
 */
export function askedCaseOf(input: {
  readonly found: AskedRequest
  readonly previous: PreviousOperation | null
  readonly policies: PolicySet
  readonly audience: string
}): AskedCase | null {
  const { found, previous, policies, audience } = input
  const { request, asked } = found
  const key = policies.keys.find(({ id }) => id === request.keyId)
  if (key === undefined) return null
  const { operation, bytes } = decodeUnsignedOperation(request.unsigned)
  const subject: Subject = { caller: request.caller, key, operation, previous }
  const none = Object.fromEntries(limitedRules(subject, policies).map(({ id }) => [id, 0]))
  const { decision } = evaluate({
    subject,
    policies,
    circumstances: {
      now: request.createdAt,
      observedHead: null,
      operationCounts: { hour: 0, day: 0, week: 0 },
      ruleCounts: none,
      didRuleCounts: none,
    },
  })
  if (decision.kind !== 'require') return null
  const { requester, proposedAt } = asked
  const matter = matterOf({ subject, bytes, decision, policies, audience, requester, proposedAt })
  return { matter, decision }
}
