import * as dagCbor from '@ipld/dag-cbor'
import { z } from 'zod'
import { coseKeyDid } from '../policy/roster.ts'
import type { Roster, WebauthnCredential } from '../policy/roster.ts'
import { HEAD_BYTES, readFlags } from './authenticator-data.ts'
import { broken, checkClientData } from './client-data.ts'
import { sha256 } from './statement.ts'

/** What a browser answers when it has made a passkey, verbatim (WebAuthn level 3, section 5.1). */
export type Registration = {
  /** base64url without padding */
  readonly credentialId: string
  readonly clientDataJSON: Uint8Array
  readonly attestationObject: Uint8Array
}

/** A passkey as a roster has it; how long it counts is for whoever writes the roster. */
export type Passkey = Omit<WebauthnCredential, 'from' | 'until'>

const MAX_ATTESTATION_BYTES = 16_384
/** aaguid (16), length of the credential's id (2): section 6.5.1. */
const AAGUID_BYTES = 16
const MAX_ID_BYTES = 1023
const COSE_ES256_BYTES = 77

const bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array)
const attestationObject = z.object({ fmt: z.string(), authData: bytes })

/** What a passkey is made for: the token of an invitation, which nobody knows but who was invited. */
export function registrationChallenge(token: Uint8Array): Uint8Array {
  return sha256(Buffer.concat([Buffer.from('holdfast/passkey/v1\0', 'latin1'), token]))
}

/**
 * WebAuthn section 7.1, without attestation: of which make an authenticator is, nobody vouches here. What
 * vouches for a passkey is the person, who reads its words out, and signs the roster with it.
 * @throws ApprovalError `bad-assertion`
 */
export function readRegistration(
  registration: Registration,
  expected: { readonly challenge: Uint8Array; readonly rp: Roster['rp'] },
): Passkey {
  const { challenge, rp } = expected
  const of = 'this invitation'
  checkClientData(registration.clientDataJSON, {
    type: 'webauthn.create',
    of,
    challenge,
    origins: rp.origins,
  })
  const data = authenticatorDataOf(registration.attestationObject)
  const { backupEligible, attested, extended } = readFlags(data, rp.id)
  if (!attested) throw broken('it brings no passkey')
  const { aaguid, id, rest } = readAttested(data)
  if (id !== registration.credentialId) throw broken('it brings another passkey than it says')
  const key = rest.slice(0, COSE_ES256_BYTES)
  if (coseKeyDid(key) === null) throw broken('its key is none of ES256')
  if (extended !== rest.length > COSE_ES256_BYTES) throw broken('bytes follow its key')
  return { kind: 'webauthn', id, key, aaguid, attestation: null, backupEligible }
}

function authenticatorDataOf(encoded: Uint8Array): Uint8Array {
  if (encoded.length > MAX_ATTESTATION_BYTES) throw broken('its attestationObject is too large')
  const parsed = attestationObject.safeParse(decode(encoded))
  if (parsed.success) return parsed.data.authData
  throw broken('its attestationObject is none')
}

function decode(encoded: Uint8Array): unknown {
  try {
    return dagCbor.decode(encoded)
  } catch {
    throw broken('its attestationObject is not CBOR')
  }
}

function readAttested(data: Uint8Array) {
  const view = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  const start = HEAD_BYTES + AAGUID_BYTES + 2
  if (view.length < start) throw broken('its authenticatorData has a wrong length')
  const length = view.readUInt16BE(start - 2)
  if (length === 0 || length > MAX_ID_BYTES || view.length < start + length) {
    throw broken('the id of its passkey has a wrong length')
  }
  return {
    aaguid: uuidOf(view.subarray(HEAD_BYTES, HEAD_BYTES + AAGUID_BYTES)),
    id: view.subarray(start, start + length).toString('base64url'),
    rest: new Uint8Array(view.subarray(start + length)),
  }
}

function uuidOf(value: Buffer): string {
  const hex = value.toString('hex')
  return [[0, 8], [8, 12], [12, 16], [16, 20], [20]].map(([a, b]) => hex.slice(a, b)).join('-')
}
