import { createHash, timingSafeEqual } from 'node:crypto'
import { AuthenticationError } from './authentication-error.ts'
import type { Credential, FindCredential } from './credential.ts'
import { ACCESS_KEY_ID } from './credential.ts'

const GRAMMAR = new RegExp(`^Bearer (${ACCESS_KEY_ID})\\.([A-Za-z0-9_-]{16,128})$`)

/** Compared against when there is no such access key; nobody knows a token of this hash. */
const NOBODYS_HASH = new Uint8Array(32)

/**
 * `Authorization: Bearer <accessKeyId>.<token>`. Only a hash of the token is kept; being random, it needs no slow one.
 *
 * @throws AuthenticationError; anything else comes from `find`
 */
export async function verifyBearer(
  authorization: string,
  find: FindCredential,
): Promise<Credential> {
  const [, accessKeyId, token] = GRAMMAR.exec(authorization) ?? []
  if (accessKeyId === undefined || token === undefined) {
    throw new AuthenticationError(
      'malformed',
      'the bearer token is not of the form <accessKeyId>.<token>',
    )
  }
  const credential = await find(accessKeyId)
  const hash = createHash('sha256').update(token).digest()
  const matches = timingSafeEqual(hash, credential?.tokenHash ?? NOBODYS_HASH)
  if (credential === null || !matches) {
    throw new AuthenticationError(
      'mismatch',
      'the token does not match, or the access key is not known here',
    )
  }
  return credential
}
