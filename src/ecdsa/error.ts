/**
 * - `bad-signature`: not r and s of the curve, or not in the strict encoding
 * - `bad-key`: no private key of the curve, or implementations that disagree about it
 */
export type EcdsaErrorCode = 'bad-signature' | 'bad-key'

export class EcdsaError extends Error {
  override readonly name = 'EcdsaError'
  readonly code: EcdsaErrorCode

  constructor(code: EcdsaErrorCode, message: string) {
    super(message)
    this.code = code
  }
}
