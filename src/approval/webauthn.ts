import { derToCompact } from '../ecdsa/der.ts'
import { EcdsaError } from '../ecdsa/error.ts'
import { normaliseS } from '../ecdsa/release.ts'
import type { EcdsaVerify } from '../plc/signature.ts'
import { credentialDid } from '../policy/roster.ts'
import type { Roster, WebauthnCredential } from '../policy/roster.ts'
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

const MAX_CLIENT_DATA_BYTES = 4096
const MAX_AUTHENTICATOR_DATA_BYTES = 1024
/** rpIdHash (32), flags (1), signCount (4). */
const HEAD_BYTES = 37
const FLAGS = { UP: 0x01, UV: 0x04, BE: 0x08, BS: 0x10, AT: 0x40, ED: 0x80 } as const
const RESERVED = 0x22

/**
 * WebAuthn section 7.2 for one statement. The challenge is the hash of what is approved, so it is
 * fresh by the statement's nonce. Origin and RP ID are those of the roster that the statement names:
 * today's configuration has no say over yesterday's evidence. Counters are not judged: stored
 * evidence must verify again at any later time.
 * @throws ApprovalError `unknown-credential`, `bad-assertion`, `bad-signature`
 */
export async function verifyWebauthnEvidence(input: {
  readonly statement: Uint8Array
  readonly evidence: WebauthnEvidence
  readonly credential: WebauthnCredential
  readonly roster: Pick<Roster, 'rp'>
  readonly verify: EcdsaVerify
}): Promise<void> {
  const { statement, evidence, credential, roster, verify } = input
  if (evidence.credentialId !== credential.id) {
    throw new ApprovalError('unknown-credential', 'the passkey is not the one of this credential')
  }
  checkClientData(evidence.clientDataJSON, sha256(preimageOf(statement)), roster.rp.origins)
  checkAuthenticatorData(evidence.authenticatorData, roster.rp.id, credential)
  const signed = Buffer.concat([evidence.authenticatorData, sha256(evidence.clientDataJSON)])
  if (!(await verify(credentialDid(credential), signed, compactOf(evidence.signature)))) {
    throw new ApprovalError('bad-signature', 'the signature is not of this passkey')
  }
}

function checkClientData(json: Uint8Array, challenge: Uint8Array, origins: readonly string[]) {
  const data = parseClientData(json)
  if (data['type'] !== 'webauthn.get') throw broken('its type is not webauthn.get')
  if (data['challenge'] !== Buffer.from(challenge).toString('base64url')) {
    throw broken('its challenge is not the hash of this statement')
  }
  const { origin } = data
  if (typeof origin !== 'string' || !origins.includes(origin)) {
    throw broken('its origin is none of the roster')
  }
  // Inside a frame of somebody else's page, an officer sees what that page wants.
  const framed = data['crossOrigin'] !== undefined && data['crossOrigin'] !== false
  if (framed || data['topOrigin'] !== undefined) throw broken('it was made across origins')
}

function parseClientData(json: Uint8Array): Record<string, unknown> {
  if (json.length > MAX_CLIENT_DATA_BYTES) throw broken('its clientDataJSON is too large')
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(json)
    const data: unknown = JSON.parse(text)
    if (typeof data === 'object' && data !== null) return data as Record<string, unknown>
  } catch (cause) {
    throw new ApprovalError('bad-assertion', 'its clientDataJSON is not JSON', { cause })
  }
  throw broken('its clientDataJSON is not an object')
}

function checkAuthenticatorData(
  data: Uint8Array,
  rpId: string,
  credential: Pick<WebauthnCredential, 'backupEligible'>,
): void {
  const flags = data[32] ?? 0
  const has = (flag: keyof typeof FLAGS) => (flags & FLAGS[flag]) !== 0
  if (data.length < HEAD_BYTES || data.length > MAX_AUTHENTICATOR_DATA_BYTES) {
    throw broken('its authenticatorData has a wrong length')
  }
  if (has('AT') || (flags & RESERVED) !== 0) throw broken('it has flags that no assertion has')
  if (has('ED') !== data.length > HEAD_BYTES) throw broken('bytes follow its authenticatorData')
  if (Buffer.compare(data.subarray(0, 32), sha256(Buffer.from(rpId, 'utf8'))) !== 0) {
    throw broken('its RP ID is not that of the roster')
  }
  if (!has('UP')) throw broken('nobody was present')
  if (!has('UV')) throw broken('the user was not verified')
  // A passkey's eligibility never changes: another one is another passkey.
  if (has('BE') !== credential.backupEligible) throw broken('its BE flag is not that of the roster')
  if (has('BS') && !has('BE')) throw broken('it is backed up, and not eligible for it')
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

function broken(reason: string): ApprovalError {
  return new ApprovalError('bad-assertion', `the passkey's answer does not count: ${reason}`)
}
