import * as dagCbor from '@ipld/dag-cbor'
import { z } from 'zod'
import type { EcdsaVerify } from '../plc/signature.ts'
import { isLowS } from '../plc/compact.ts'
import { curveOf } from '../plc/did-key.ts'
import { mayApprove } from '../policy/roster.ts'
import type { Person, Roster } from '../policy/roster.ts'
import { TrustError } from './error.ts'

const FORMAT = 'holdfast/roster-acceptance/v1'
export const MAX_ACCEPTANCE_BYTES = 4096

const schema = z.strictObject({
  format: z.literal(FORMAT),
  /** Digest of the whole epoch, in hex. */
  roster: z.string().regex(/^[0-9a-f]{64}$/),
  person: z.string().min(1).max(256),
  credential: z.string().min(1).max(256),
  /** r‖s, 64 bytes, low-S, base64url. */
  signature: z.string().regex(/^[A-Za-z0-9_-]{86}$/),
})

/** A member takes part in an epoch: signed over all of it, by each credential that comes in with it. */
export type Acceptance = z.infer<typeof schema>

/** A did:key signs this. Its first byte is that of no PLC operation (a CBOR map). */
export function acceptancePreimage(
  roster: Uint8Array,
  { person, credential }: Pick<Acceptance, 'person' | 'credential'>,
): Uint8Array {
  const content = dagCbor.encode({ roster, person, credential })
  return new Uint8Array(Buffer.concat([Buffer.from(`${FORMAT}\0`, 'latin1'), content]))
}

export function renderAcceptance(acceptance: Omit<Acceptance, 'format'>): string {
  return `${JSON.stringify({ format: FORMAT, ...acceptance }, null, 2)}\n`
}

/** @throws TrustError `malformed` */
export function parseAcceptance(text: string): Acceptance {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new TrustError('malformed', 'not an acceptance: it is not JSON', { cause })
  }
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new TrustError('malformed', `not an acceptance: ${issue?.path.join('.') || 'its fields'}`)
}

/**
 * That this member has signed this epoch, with a did:key that the epoch gives them.
 * @throws TrustError `refused`
 */
export async function checkAcceptance(
  acceptance: Acceptance,
  roster: Roster,
  verify: EcdsaVerify,
): Promise<void> {
  const { person: id, credential: name } = acceptance
  if (acceptance.roster !== Buffer.from(roster.digest).toString('hex')) {
    throw new TrustError('refused', `the acceptance of ${id} is of another roster`)
  }
  const credential = roster.persons
    .find((person) => person.id === id)
    ?.credentials.find((own) => own.id === name)
  if (credential?.kind !== 'did:key') {
    throw new TrustError('refused', `the roster gives ${id} no did:key called ${name}`)
  }
  const signature = new Uint8Array(Buffer.from(acceptance.signature, 'base64url'))
  const signed = acceptancePreimage(roster.digest, acceptance)
  const good =
    signature.length === 64 &&
    isLowS(signature, curveOf(credential.did)) &&
    (await verify(credential.did, signed, signature))
  if (!good) throw new TrustError('refused', `the signature of ${id} does not hold`)
}

/**
 * Who has yet to accept a first epoch: each active officer, and two of them at the least. Whoever has no
 * did:key cannot accept, and so is none of the first. Empty: it may be the first.
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
  return credentials.some(({ kind }) => kind === 'did:key')
    ? `${id} has not accepted`
    : `${id} has no did:key, and cannot be one of the first`
}
