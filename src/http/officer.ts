import { parseCallAuthorization, verifyOfficerCall } from '../approval/officer-call.ts'
import { sha256 } from '../approval/statement.ts'
import type { EcdsaVerify } from '../plc/signature.ts'
import type { Person, Roster } from '../policy/roster.ts'
import { AuthenticationError } from './authentication-error.ts'
import type { Received } from './received.ts'

export type OfficerDeps = {
  readonly roster: Roster | null
  readonly audience: string
  readonly verify: EcdsaVerify
  /** Lets each call in once, on all instances. */
  readonly useOnce: (digest: Uint8Array) => Promise<boolean>
}

/**
 * An officer's command line signs every call: what is called, with which body, of which service, when.
 * @throws AuthenticationError; anything else comes from `useOnce`
 */
export async function verifyOfficer(
  request: Received,
  deps: OfficerDeps & { readonly now: Date },
): Promise<Person> {
  const text = request.headers.get('authorization') ?? ''
  const authorization = parseCallAuthorization(text)
  if (authorization === null) {
    throw new AuthenticationError('malformed', 'not an authorization of an officer')
  }
  const { audience, roster, verify, now } = deps
  const { method, target, body } = request
  const call = { audience, method, target, body }
  const person = await verifyOfficerCall({ call, authorization, roster, verify, now })
  if (person === null) {
    throw new AuthenticationError(
      'mismatch',
      `the call is not signed by an active officer for ${audience}, or more than 60 s ago`,
    )
  }
  // Only what would be let in is remembered: a stranger cannot fill the table.
  if (!(await deps.useOnce(sha256(Buffer.from(text, 'latin1'))))) {
    throw new AuthenticationError('mismatch', 'this call was made before; sign it anew')
  }
  return person
}
