import * as dagCbor from '@ipld/dag-cbor'
import { isLowS } from '../plc/compact.ts'
import { curveOf } from '../plc/did-key.ts'
import type { EcdsaVerify } from '../plc/signature.ts'
import { mayApprove } from '../policy/roster.ts'
import type { DidKeyCredential, Person, Roster } from '../policy/roster.ts'
import { sha256 } from './statement.ts'

const DOMAIN = 'holdfast/officer-call/v1'
/** How far an officer's clock may be from ours, in seconds. */
export const CALL_SECONDS = 60

/** One call of an officer's command line to the service. */
export type OfficerCall = {
  readonly audience: string
  readonly method: string
  /** Path and query, as the request line has them. */
  readonly target: string
  readonly body: Uint8Array
  /** Unix seconds. */
  readonly time: number
  /** 16 random bytes. */
  readonly nonce: Uint8Array
}

export type CallAuthorization = Pick<OfficerCall, 'time' | 'nonce'> & {
  readonly did: string
  readonly signature: Uint8Array
}

/** What an officer's key signs of a call. Its first byte is that of no PLC operation, and of no approval. */
export function callPreimage(call: OfficerCall): Uint8Array {
  const { body, ...rest } = call
  const content = dagCbor.encode({ ...rest, body: sha256(body) })
  return new Uint8Array(Buffer.concat([Buffer.from(`${DOMAIN}\0`, 'latin1'), content]))
}

const base64url = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url')
const GRAMMAR =
  /^Holdfast-Officer (did:key:z[1-9A-HJ-NP-Za-km-z]{48}) ([0-9]{1,11}) ([A-Za-z0-9_-]{22}) ([A-Za-z0-9_-]{86})$/

/** `Authorization: Holdfast-Officer DID-KEY TIME NONCE SIGNATURE`. */
export function formatCallAuthorization(given: CallAuthorization): string {
  const { did, time, nonce, signature } = given
  return `Holdfast-Officer ${did} ${time} ${base64url(nonce)} ${base64url(signature)}`
}

/** @returns null for any other text */
export function parseCallAuthorization(text: string): CallAuthorization | null {
  const [, did, time, nonce, signature] = GRAMMAR.exec(text) ?? []
  if (did === undefined || nonce === undefined || signature === undefined) return null
  const parsed = {
    did,
    time: Number(time),
    nonce: new Uint8Array(Buffer.from(nonce, 'base64url')),
    signature: new Uint8Array(Buffer.from(signature, 'base64url')),
  }
  // One text for one call: stray bits at the end would make it another.
  return formatCallAuthorization(parsed) === text ? parsed : null
}

/**
 * Who calls: an active officer of today's roster, by a did:key that is valid now.
 * @returns null when it is nobody; why is nobody's business but the log's
 */
export async function verifyOfficerCall(input: {
  readonly call: Omit<OfficerCall, 'time' | 'nonce'>
  readonly authorization: CallAuthorization
  readonly roster: Roster | null
  readonly now: Date
  readonly verify: EcdsaVerify
}): Promise<Person | null> {
  const { call, authorization, roster, now, verify } = input
  const { did, time, nonce, signature } = authorization
  const seconds = Math.floor(now.getTime() / 1000)
  if (Math.abs(seconds - time) > CALL_SECONDS) return null
  const person = roster?.persons.find((candidate) => holds(candidate, did, seconds))
  if (person === undefined || !mayApprove(person)) return null
  const strict = isLowS(signature, curveOf(did))
  const signed = callPreimage({ ...call, time, nonce })
  return strict && (await verify(did, signed, signature)) ? person : null
}

function holds({ credentials }: Person, did: string, seconds: number): boolean {
  return credentials.some(
    (credential): credential is DidKeyCredential =>
      credential.kind === 'did:key' &&
      credential.did === did &&
      credential.from <= seconds &&
      seconds < credential.until,
  )
}
