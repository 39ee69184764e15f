import { isLowS } from '../plc/compact.ts'
import { curveOf } from '../plc/did-key.ts'
import type { EcdsaVerify } from '../plc/signature.ts'
import type { DidKeyCredential } from '../policy/roster.ts'
import { ApprovalError } from './error.ts'
import { preimageOf } from './statement.ts'

/** ECDSA with SHA-256 over the preimage: r‖s, 64 bytes, low-S on either curve. */
export type DidKeyEvidence = {
  readonly kind: 'did:key'
  readonly did: string
  readonly signature: Uint8Array
}

/** @throws ApprovalError `unknown-credential`, `bad-signature` */
export async function verifyDidKeyEvidence(input: {
  readonly statement: Uint8Array
  readonly evidence: DidKeyEvidence
  readonly credential: DidKeyCredential
  readonly verify: EcdsaVerify
}): Promise<void> {
  const { statement, evidence, credential, verify } = input
  // By the whole key, never by a name or a part of it.
  if (evidence.did !== credential.did) {
    throw new ApprovalError('unknown-credential', 'the key is not the one of this credential')
  }
  const { signature } = evidence
  const strict = isLowS(signature, curveOf(credential.did))
  if (!strict || !(await verify(credential.did, preimageOf(statement), signature))) {
    throw new ApprovalError('bad-signature', 'the signature is not of this key over this statement')
  }
}
