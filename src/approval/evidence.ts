import * as dagCbor from '@ipld/dag-cbor'
import { z } from 'zod'
import type { DidKeyEvidence } from './did-key.ts'
import { ApprovalError } from './error.ts'
import type { WebauthnEvidence } from './webauthn.ts'

/** How somebody proved that they made a statement. */
export type Evidence = DidKeyEvidence | WebauthnEvidence

/** A statement with its evidence, as it is kept: exact bytes, verified anew whenever they count. */
export type RawApproval = { readonly statement: Uint8Array; readonly evidence: Uint8Array }

export const MAX_EVIDENCE_BYTES = 8192

const bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array, 'must be bytes')
const schema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('did:key'), did: z.string().max(128), signature: bytes }),
  z.strictObject({
    kind: z.literal('webauthn'),
    credentialId: z.string().min(1).max(1364),
    clientDataJSON: bytes,
    authenticatorData: bytes,
    signature: bytes,
  }),
])

/** Canonical DAG-CBOR. */
export function encodeEvidence(evidence: Evidence): Uint8Array {
  return new Uint8Array(dagCbor.encode(evidence))
}

/** @throws ApprovalError `malformed` */
export function decodeEvidence(encoded: Uint8Array): Evidence {
  if (encoded.length > MAX_EVIDENCE_BYTES) throw malformed()
  const parsed = schema.safeParse(decode(encoded))
  if (!parsed.success || Buffer.compare(encodeEvidence(parsed.data), encoded) !== 0) {
    throw malformed()
  }
  return parsed.data
}

function decode(encoded: Uint8Array): unknown {
  try {
    return dagCbor.decode(encoded)
  } catch {
    throw malformed()
  }
}

function malformed(): ApprovalError {
  return new ApprovalError('malformed', 'not the evidence of a did:key or of a passkey')
}
