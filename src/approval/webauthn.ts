import { derToCompact } from '../ecdsa/der.ts'
import { EcdsaError } from '../ecdsa/error.ts'
import { normaliseS } from '../ecdsa/release.ts'
import type { EcdsaVerify } from '../plc/signature.ts'
import { credentialDid } from '../policy/roster.ts'
import type { Roster, WebauthnCredential } from '../policy/roster.ts'
import { HEAD_BYTES, readFlags } from './authenticator-data.ts'
import { broken, checkClientData } from './client-data.ts'
import { ApprovalError } from './error.ts'
import { preimageOf, sha256 } from './statement.ts'

/** What a browser's authenticator answered, verbatim (WebAuthn level 3, section 5.8.1 and 6.1). */
export type WebauthnEvidence = {
  readonly kind: 'webauthn'
  /** base64url without padding */
  readonly credentialId: string
  readonly clientDataJSON: Uint8Array
  readonly authenticatorData: Uint8Array
  /** DER */
  readonly signature: Uint8Array
}

/** Of its authenticatorData: the head, and extensions of which nothing here asks for any. */
const MAX_ASSERTION_BYTES = 1024

/**
 * WebAuthn section 7.2 for one statement. The challenge is the hash of what is approved, so it is
 * fresh by the statement's nonce. Origin and RP ID are those of the roster that the statement names:
 * today's configuration has no say over yesterday's evidence.
 * @throws ApprovalError `unknown-credential`, `bad-assertion`, `bad-signature`
 */
export async function verifyWebauthnEvidence(
  input: Omit<Assertion, 'of' | 'challenge'> & { readonly statement: Uint8Array },
): Promise<void> {
  const challenge = sha256(preimageOf(input.statement))
  await verifyAssertion({ ...input, of: 'this statement', challenge })
}

export type Assertion = {
  readonly challenge: Uint8Array
  /** What the challenge is the hash of, for messages. */
  readonly of: string
  readonly evidence: WebauthnEvidence
  readonly credential: WebauthnCredential
  readonly roster: Pick<Roster, 'rp'>
  readonly verify: EcdsaVerify
}

/** @throws ApprovalError as above */
export async function verifyAssertion(assertion: Assertion): Promise<void> {
  const { challenge, of, evidence, credential, roster, verify } = assertion
  if (evidence.credentialId !== credential.id) {
    throw new ApprovalError('unknown-credential', 'the passkey is not the one of this credential')
  }
  const { clientDataJSON, authenticatorData, signature } = evidence
  const { id: rpId, origins } = roster.rp
  checkClientData(clientDataJSON, { type: 'webauthn.get', of, challenge, origins })
  const { backupEligible, attested, extended } = readFlags(authenticatorData, rpId)
  if (attested) throw broken('it has flags that no assertion has')
  if (authenticatorData.length > MAX_ASSERTION_BYTES) throw broken('it is too long')
  if (extended !== authenticatorData.length > HEAD_BYTES) {
    throw broken('bytes follow its authenticatorData')
  }
  // A passkey's eligibility never changes: another one is another passkey.
  if (backupEligible !== credential.backupEligible) {
    throw broken('its BE flag is not that of the roster')
  }
  const signed = Buffer.concat([authenticatorData, sha256(clientDataJSON)])
  if (!(await verify(credentialDid(credential), signed, compactOf(signature)))) {
    throw new ApprovalError('bad-signature', 'the signature is not of this passkey')
  }
}

/** Authenticators write strict DER, and S as it comes: r with n-s signs the same bytes. */
function compactOf(der: Uint8Array): Uint8Array {
  try {
    return normaliseS('P-256', derToCompact(der))
  } catch (cause) {
    if (!(cause instanceof EcdsaError)) throw cause
    throw new ApprovalError('bad-signature', 'the signature is not DER of ECDSA', { cause })
  }
}
