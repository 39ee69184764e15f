import { formatDidKey } from '../plc/did-key.ts'

export const roles = ['officer', 'operator', 'custodian', 'observer', 'auditor'] as const
/** What a person may do. Only an officer's approval counts; automation is never a person. */
export type Role = (typeof roles)[number]

/** When a credential counts, in Unix seconds: `from` included, `until` not. */
type Validity = { readonly from: number; readonly until: number }

/** A key of an officer's own, in software or on a token. `id` is a name of its owner's choice. */
export type DidKeyCredential = Validity & {
  readonly kind: 'did:key'
  readonly id: string
  readonly did: string
}

/** A passkey. */
export type WebauthnCredential = Validity & {
  readonly kind: 'webauthn'
  /** The credential id, base64url without padding. */
  readonly id: string
  /** COSE_Key of ES256 in CTAP2's canonical form, 77 bytes. */
  readonly key: Uint8Array
  /** The model of the authenticator; zeros where it does not say. */
  readonly aaguid: string
  /** SHA-256 of the attestation object made at registration; null: none was kept. */
  readonly attestation: Uint8Array | null
  /** The BE flag: whether the passkey may be copied to other devices. */
  readonly backupEligible: boolean
}

export type Credential = DidKeyCredential | WebauthnCredential

export type Person = {
  /** Opaque and for ever theirs; names are kept elsewhere. */
  readonly id: string
  readonly org: string
  readonly roles: readonly Role[]
  /** `removed` is for good: a dead member of its groups, so that no threshold falls. */
  readonly status: 'active' | 'removed'
  readonly credentials: readonly Credential[]
}

/**
 * One epoch of the officers. Epochs form a chain: each names the digest of the one before, and so is
 * pinned with all that led to it.
 */
export type Roster = {
  readonly env: 'dev' | 'prod'
  readonly epoch: number
  /** Digest of the epoch before; null for the first. */
  readonly previous: Uint8Array | null
  /** WebAuthn's relying party: assertions are judged by these, never by today's configuration. */
  readonly rp: { readonly id: string; readonly origins: readonly string[] }
  readonly persons: readonly Person[]
  /** SHA-256 of the canonical DAG-CBOR of all of the above. */
  readonly digest: Uint8Array
}

export function personOf(roster: Roster, id: string): Person | null {
  return roster.persons.find((person) => person.id === id) ?? null
}

/** Whether somebody's approval can count: active, and an officer. */
export function mayApprove(person: Person): boolean {
  return person.status === 'active' && person.roles.includes('officer')
}

const COSE_ES256 = {
  // {1: 2 (EC2), 3: -7 (ES256), -1: 1 (P-256), -2: x}, then -3: y (RFC 9053, section 7.1.1).
  head: Uint8Array.of(0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20),
  middle: Uint8Array.of(0x22, 0x58, 0x20),
}
const COSE_ES256_BYTES = 77

/**
 * The public key of a passkey as a did:key, so that it can be compared with every other key by all of
 * it. Only ES256 in CTAP2's canonical form is read; every authenticator writes that one.
 * @returns null for any other bytes, and for a point that is not on the curve
 */
export function coseKeyDid(cose: Uint8Array): string | null {
  const { head, middle } = COSE_ES256
  const y = head.length + 32
  if (
    cose.length !== COSE_ES256_BYTES ||
    !startsWith(cose, head) ||
    !startsWith(cose.subarray(y), middle)
  ) {
    return null
  }
  const point = new Uint8Array(65)
  point[0] = 4
  point.set(cose.subarray(head.length, y), 1)
  point.set(cose.subarray(y + middle.length), 33)
  try {
    return formatDidKey('P-256', point)
  } catch {
    return null
  }
}

/** The key behind a credential, in the one spelling by which keys are compared. */
export function credentialDid(credential: Credential): string {
  const did = credential.kind === 'did:key' ? credential.did : coseKeyDid(credential.key)
  if (did === null) throw new TypeError(`credential ${credential.id} was not parsed`)
  return did
}

function startsWith(bytes: Uint8Array, head: Uint8Array): boolean {
  return head.every((byte, index) => bytes[index] === byte)
}
