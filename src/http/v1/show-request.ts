import type { StoredRequest } from '../../custody/ports.ts'
import { decodeSignedOperation, decodeUnsignedOperation } from '../../plc/encode.ts'
import { operationData } from '../../plc/operation.ts'
import { renderOperation } from '../../plc/render.ts'
import { formatSignature } from '../../plc/signature.ts'
import type { Decision } from '../../policy/evaluate.ts'
import type { RequestView } from './request-view.ts'

/**
 * A stored request as `/v1` shows it. What it changes is rendered from its exact bytes; a request
 * whose DID is not shown does not show the operation before it either: that one is another caller's.
 */
export function showRequest({
  request,
  previous,
}: {
  request: StoredRequest
  previous: Uint8Array | null
}): RequestView {
  const { operation } = decodeUnsignedOperation(request.unsigned)
  const before =
    previous === null || request.did === null
      ? null
      : operationData(decodeSignedOperation(previous))
  return {
    id: request.id,
    caller: request.caller,
    key: request.keyId,
    state: request.state,
    digest: Buffer.from(request.digest).toString('hex'),
    class: request.operationClass,
    did: request.did,
    prev: request.prev,
    rules: rulesOf(request.decision),
    decision: textOf(request.decision),
    rendering: renderOperation({ operation, previous: before }),
    signature: request.signature === null ? null : formatSignature(request.signature),
    cid: request.cid,
    replaces: request.replaces,
    createdAt: request.createdAt,
    intendedAt: request.intendedAt,
    producedAt: request.producedAt,
  }
}

function rulesOf(decision: Decision): readonly string[] {
  switch (decision.kind) {
    case 'allow':
      return decision.rules
    case 'deny':
      return decision.findings.map((finding) => finding.rule)
  }
}

function textOf(decision: Decision): string {
  switch (decision.kind) {
    case 'allow':
      return `allowed by ${decision.rules.join(', ')}`
    case 'deny':
      return decision.findings.map(({ rule, message }) => `${rule}: ${message}`).join('\n')
  }
}
