import { renderMatter } from './display.ts'
import { termsOf } from './matter.ts'
import type { Matter, Requester } from './matter.ts'
import type { SigningBytes } from '../plc/encode.ts'
import { requestDigest } from '../plc/encode.ts'
import { operationData } from '../plc/operation.ts'
import type { Decision } from '../policy/evaluate.ts'
import type { Subject } from '../policy/facts.ts'
import type { PolicySet } from '../policy/policy-set.ts'

/**
 * What officers approve of one operation, computed from its bytes, from those of the operation before
 * it, and from the policy in force. `prev` is the head, since nothing else is signed with an online key:
 * so it takes nothing out of history.
 */
export function matterOf(input: {
  readonly subject: Subject
  readonly bytes: SigningBytes
  readonly decision: Decision & { readonly kind: 'require' }
  readonly policies: PolicySet
  readonly audience: string
  readonly requester: Requester
  readonly proposedAt: Date
}): Matter {
  const { subject, bytes, decision, policies, audience, requester, proposedAt } = input
  const { operation, previous, key } = subject
  const matter = {
    env: policies.env,
    audience,
    subject: 'op' as const,
    request: requestDigest(bytes),
    key: key.did,
    head: operation.prev,
    nullifies: [],
    requester,
    policy: { rules: decision.rules, digest: policies.digest },
    terms: termsOf(decision.requirements, proposedAt),
  }
  const before = previous === null ? null : operationData(previous.operation)
  const display = renderMatter({
    matter,
    did: previous?.did ?? null,
    operation,
    previous: before,
  })
  return { ...matter, display }
}
