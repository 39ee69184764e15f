/**
 * - `bundle-malformed`: a file of a bundle that is not written as it is when it is made
 * - `bundle-changed`: another account, line or count than the intent and its list of accounts name
 * - `not-trusted`: it is not what the trust card names
 * - `not-approved`: the policies want approvals that are not there, or forbid it
 * - `result-malformed`, `result-changed`: the same of a result
 */
export type RecoveryErrorCode =
  | 'bundle-malformed'
  | 'bundle-changed'
  | 'not-trusted'
  | 'not-approved'
  | 'result-malformed'
  | 'result-changed'

/** The message names the file and the account; foreign text in it is quoted and escaped. */
export class RecoveryError extends Error {
  override readonly name = 'RecoveryError'
  readonly code: RecoveryErrorCode

  constructor(code: RecoveryErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
