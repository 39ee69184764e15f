/** `malformed`: not a trust record. `refused`: what was asked for is not to be put in force. */
export class TrustError extends Error {
  override readonly name = 'TrustError'
  readonly code: 'malformed' | 'refused'

  constructor(code: 'malformed' | 'refused', message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
