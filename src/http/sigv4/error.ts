export type SigV4ErrorCode = 'missing' | 'malformed' | 'scope' | 'skewed' | 'mismatch'

/** Why a signature was not accepted. The message holds nothing that the sender wrote, and no secret. */
export class SigV4Error extends Error {
  override readonly name = 'SigV4Error'
  readonly code: SigV4ErrorCode

  constructor(code: SigV4ErrorCode, message: string) {
    super(message)
    this.code = code
  }
}
