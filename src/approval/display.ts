import type { OperationData, UnsignedOperation } from '../plc/operation.ts'
import { renderOperation } from '../plc/render.ts'
import { quoteText } from '../plc/text.ts'
import { requesterText } from './matter.ts'
import type { Matter } from './matter.ts'

/**
 * The whole of what an officer approves, as text: the service, the officer's own command line and an
 * auditor make it from the same facts, and its digest stands in the statement. Only printable ASCII
 * and line feeds.
 */
export function renderMatter(input: {
  readonly matter: Omit<Matter, 'display'>
  readonly did: string | null
  readonly operation: UnsignedOperation
  /** What the operation that `prev` names made true; null for a genesis. */
  readonly previous: OperationData | null
}): string {
  const { matter, did, operation, previous } = input
  const { terms, policy, nullifies } = matter
  const lines = [
    `environment: ${matter.env}`,
    `service: ${quoteText(matter.audience)}`,
    `asked by: ${requesterText(matter.requester)}`,
    `identity: ${did ?? 'a new one'}`,
    `signing key: ${matter.key ?? 'none'}`,
    `head: ${matter.head ?? 'none'}`,
    `takes out of history: ${nullifies.length === 0 ? 'nothing' : nullifies.length}`,
    ...nullifies.map((cid) => `  ${cid}`),
    `rules: ${policy.rules.join(', ')}`,
    `policy set: ${Buffer.from(policy.digest).toString('hex')}`,
    `approve before: ${timeText(terms.approveBy)}`,
    `sign before: ${timeText(terms.executeBy)}, within ${terms.within} s after a delay of ${terms.delay} s`,
  ]
  return `${lines.join('\n')}\n${renderOperation({ operation, previous })}`
}

function timeText(seconds: number): string {
  return new Date(seconds * 1000).toISOString()
}
