export type AuthenticationErrorCode = 'missing' | 'malformed' | 'scope' | 'skewed' | 'mismatch'

/** Why we do not know who is asking. The message holds nothing that the sender wrote, and no secret. */
export class AuthenticationError extends Error {
  override readonly name = 'AuthenticationError'
  readonly code: AuthenticationErrorCode

  constructor(code: AuthenticationErrorCode, message: string) {
    super(message)
    this.code = code
  }
}
