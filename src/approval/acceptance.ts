import * as dagCbor from '@ipld/dag-cbor'
import { z } from 'zod'
import { isLowS } from '../plc/compact.ts'
import { curveOf } from '../plc/did-key.ts'
import type { EcdsaVerify } from '../plc/signature.ts'
import { credentialDid, mayApprove, personOf } from '../policy/roster.ts'
import type { Credential, Person, Roster } from '../policy/roster.ts'
import { ApprovalError } from './error.ts'
import { jsonOf } from './json.ts'
import { sha256 } from './statement.ts'
import { verifyAssertion } from './webauthn.ts'

const FORMAT = 'holdfast/roster-acceptance/v1'
export const MAX_ACCEPTANCE_BYTES = 16_384

const base64url = z.string().regex(/^[A-Za-z0-9_-]+$/)
const member = {
  format: z.literal(FORMAT),
  /** Digest of the whole epoch, in hex. */
  roster: z.string().regex(/^[0-9a-f]{64}$/),
  person: z.string().min(1).max(256),
  credential: z.string().min(1).max(1364),
}
const schema = z.union([
  /** r‖s, 64 bytes, low-S, base64url. */
  z.strictObject({ ...member, signature: z.string().regex(/^[A-Za-z0-9_-]{86}$/) }),
  /** What a passkey answered, each part base64url; the challenge is SHA-256 of the preimage. */
  z.strictObject({
    ...member,
    assertion: z.strictObject({
      clientDataJSON: base64url.max(5462),
      authenticatorData: base64url.max(2731),
      signature: base64url.max(128),
    }),
  }),
])

/** A member takes part in an epoch: signed over all of it, by each credential that comes in with it. */
export type Acceptance = z.infer<typeof schema>

/** Whose, and by which of their credentials. */
type Member = Pick<Acceptance, 'person' | 'credential'>

/** A did:key signs this. Its first byte is that of no PLC operation (a CBOR map). */
export function acceptancePreimage(roster: Uint8Array, { person, credential }: Member): Uint8Array {
  const content = dagCbor.encode({ roster, person, credential })
  return new Uint8Array(Buffer.concat([Buffer.from(`${FORMAT}\0`, 'latin1'), content]))
}

/** What a passkey answers to. */
export function acceptanceChallenge(roster: Uint8Array, member: Member): Uint8Array {
  return sha256(acceptancePreimage(roster, member))
}

/** `T`: by a key or a passkey. */
type WithoutFormat<T> = T extends Acceptance ? Omit<T, 'format'> : never

export function renderAcceptance(acceptance: WithoutFormat<Acceptance>): string {
  return `${JSON.stringify({ format: FORMAT, ...acceptance }, null, 2)}\n`
}

/** @throws ApprovalError `malformed` */
export function parseAcceptance(text: string): Acceptance {
  const parsed = schema.safeParse(jsonOf(text))
  if (parsed.success) return parsed.data
  throw new ApprovalError('malformed', 'not an acceptance of a roster, as officers accept makes it')
}

/**
 * That this member has signed this epoch, with a credential that the epoch gives them.
 * @param given.at when it was handed in: by then the credential must not have ended
 * @throws ApprovalError
 */
export async function checkAcceptance(
  acceptance: Acceptance,
  given: { readonly roster: Roster; readonly verify: EcdsaVerify; readonly at: Date },
): Promise<void> {
  const { roster, verify, at } = given
  const { person, credential: name } = acceptance
  if (acceptance.roster !== Buffer.from(roster.digest).toString('hex')) {
    throw new ApprovalError('unknown-roster', `the acceptance of ${person} is of another roster`)
  }
  const credential = personOf(roster, person)?.credentials.find((own) => own.id === name)
  const known = credential !== undefined && isOfItsKind(acceptance, credential)
  if (!known) {
    throw new ApprovalError(
      'unknown-credential',
      `the roster gives ${person} no such credential as ${name}`,
    )
  }
  if (credential.until * 1000 <= at.getTime()) {
    throw new ApprovalError('unknown-credential', `the time of ${name} of ${person} is over`)
  }
  if (!('assertion' in acceptance)) {
    return await checkSignature(acceptance, { roster, did: credentialDid(credential), verify })
  }
  if (credential.kind !== 'webauthn') throw new TypeError('it was of its kind a moment ago')
  await verifyAssertion({
    challenge: acceptanceChallenge(roster.digest, acceptance),
    of: 'this roster',
    evidence: { kind: 'webauthn', credentialId: name, ...bytesOf(acceptance.assertion) },
    credential,
    roster,
    verify,
  })
}

function isOfItsKind(acceptance: Acceptance, { kind }: Credential): boolean {
  return kind === ('assertion' in acceptance ? 'webauthn' : 'did:key')
}

async function checkSignature(
  acceptance: Extract<Acceptance, { signature: string }>,
  { roster, did, verify }: { roster: Roster; did: string; verify: EcdsaVerify },
): Promise<void> {
  const signature = bytes(acceptance.signature)
  const good =
    signature.length === 64 &&
    isLowS(signature, curveOf(did)) &&
    (await verify(did, acceptancePreimage(roster.digest, acceptance), signature))
  if (good) return
  throw new ApprovalError('bad-signature', `the signature of ${acceptance.person} does not hold`)
}

function bytesOf(assertion: Extract<Acceptance, { assertion: object }>['assertion']) {
  const { clientDataJSON, authenticatorData, signature } = assertion
  return {
    clientDataJSON: bytes(clientDataJSON),
    authenticatorData: bytes(authenticatorData),
    signature: bytes(signature),
  }
}

const bytes = (text: string) => new Uint8Array(Buffer.from(text, 'base64url'))

/**
 * Who has yet to accept a first epoch: each active officer, and two of them at the least. Empty: it may be
 * the first.
 */
export function firstEpochLacks(roster: Roster, accepted: readonly Acceptance[]): string[] {
  const persons = new Set(accepted.map(({ person }) => person))
  const officers = roster.persons.filter(mayApprove)
  return [
    ...(roster.epoch === 1 ? [] : [`it is epoch ${roster.epoch}; a log begins with epoch 1`]),
    ...officers.filter(({ id }) => !persons.has(id)).map(whyNot),
    ...(officers.filter(({ id }) => persons.has(id)).length >= 2
      ? []
      : ['two officers at least must have accepted']),
  ]
}

function whyNot({ id, credentials }: Person): string {
  return credentials.length > 0
    ? `${id} has not accepted`
    : `${id} has no credential, and cannot be one of the first`
}
