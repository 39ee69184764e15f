import type { SignedOperationJson } from '../../api/operation.ts'
import type { RequestView, SubmissionView } from '../../api/request.ts'
import type { StoredRequest } from '../../custody/ports.ts'
import {
  attachSignature,
  decodeSignedOperation,
  decodeUnsignedOperation,
} from '../../plc/encode.ts'
import type { ShownAsked } from '../../custody/show-asked.ts'
import { operationData } from '../../plc/operation.ts'
import type { UnsignedOperation } from '../../plc/operation.ts'
import { renderOperation } from '../../plc/render.ts'
import type { Decision } from '../../policy/evaluate.ts'
import { quorumText } from '../../policy/quorum.ts'
import { showApproval } from './show-approval.ts'

/** The last answer of the directory to a submission, as the store holds it. */
export type StoredSubmission = {
  readonly outcome: SubmissionView['outcome']
  readonly status: number | null
  readonly message: string | null
  readonly sentAt: Date
  readonly confirmedAt: Date | null
}

/**
 * A stored request as `/v1` shows it. What it changes is rendered from its exact bytes; a request
 * whose DID is not shown does not show the operation before it either: that one is another caller's.
 */
export function showRequest({
  request,
  previous,
  submission,
  asked = null,
}: {
  request: StoredRequest
  previous: Uint8Array | null
  submission: StoredSubmission | null
  asked?: ShownAsked | null
}): RequestView {
  const { operation } = decodeUnsignedOperation(request.unsigned)
  const before =
    previous === null || request.did === null
      ? null
      : operationData(decodeSignedOperation(previous))
  const signed = signedOf(request, operation)
  return {
    id: request.id,
    caller: request.caller,
    key: request.keyId,
    state: request.state,
    digest: Buffer.from(request.digest).toString('hex'),
    class: request.operationClass,
    did: request.did,
    prev: request.prev,
    rules: [...rulesOf(request.decision)],
    decision: textOf(request.decision),
    rendering: renderOperation({ operation, previous: before }),
    operation,
    signedOperation: signed,
    signature: signed?.sig ?? null,
    cid: request.cid,
    replaces: [...request.replaces],
    submission: submission === null ? null : showSubmission(submission),
    approval: asked === null ? null : showApproval(asked),
    createdAt: request.createdAt.toISOString(),
    intendedAt: request.intendedAt?.toISOString() ?? null,
    producedAt: request.producedAt?.toISOString() ?? null,
  }
}

/** Two signed operations on one `prev` are two futures: one that was replaced is never shown again. */
function signedOf(
  { state, signature }: StoredRequest,
  operation: UnsignedOperation,
): SignedOperationJson | null {
  if (signature === null || state === 'superseded') return null
  // Of an unsigned update or tombstone, so it is never the legacy form.
  return attachSignature(operation, signature) as SignedOperationJson
}

function showSubmission(submission: StoredSubmission): SubmissionView {
  const { sentAt, confirmedAt } = submission
  return {
    outcome: submission.outcome,
    status: submission.status,
    message: submission.message,
    sentAt: sentAt.toISOString(),
    confirmedAt: confirmedAt?.toISOString() ?? null,
  }
}

function rulesOf(decision: Decision): readonly string[] {
  switch (decision.kind) {
    case 'allow':
    case 'require':
      return decision.rules
    case 'deny':
      return decision.findings.map((finding) => finding.rule)
  }
}

function textOf(decision: Decision): string {
  switch (decision.kind) {
    case 'allow':
      return `allowed by ${decision.rules.join(', ')}`
    case 'require':
      return decision.requirements
        .map(({ rule, quorum }) => `${rule}: needs ${quorumText(quorum)}`)
        .join('\n')
    case 'deny':
      return decision.findings.map(({ rule, message }) => `${rule}: ${message}`).join('\n')
  }
}
