export type PolicyErrorCode =
  /** A policy file is not what its schema says. Nothing of it is in force. */
  'file-malformed'

/** A policy set that cannot be loaded. Not a denial: a denial is a `Decision`. */
export class PolicyError extends Error {
  override readonly name = 'PolicyError'
  readonly code: PolicyErrorCode

  constructor(code: PolicyErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
