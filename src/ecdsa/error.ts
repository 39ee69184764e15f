/**
 * `bad-signature`: not r and s of the curve, or not in the strict encoding.
 */
export type EcdsaErrorCode = 'bad-signature'

export class EcdsaError extends Error {
  override readonly name = 'EcdsaError'
  readonly code: EcdsaErrorCode

  constructor(code: EcdsaErrorCode, message: string) {
    super(message)
    this.code = code
  }
}
