import { AuthenticationError } from '../authentication-error.ts'
import type { AuthenticationErrorCode } from '../authentication-error.ts'
import { GateFull } from '../gate.ts'
import { ReceiveError } from '../received.ts'
import type { ReceiveErrorCode } from '../received.ts'
import type { SignNowResult } from '../../custody/sign-now.ts'

export type KmsErrorCode =
  | 'AccessDeniedException'
  | 'IncompleteSignatureException'
  | 'InvalidSignatureException'
  | 'KMSInternalException'
  | 'KMSInvalidStateException'
  | 'NotFoundException'
  | 'ThrottlingException'
  | 'UnknownOperationException'
  | 'ValidationException'

/** An answer of the door that is no success: `__type` and `message` of AWS, both for the caller's eyes. */
export class KmsError extends Error {
  override readonly name = 'KmsError'
  readonly code: KmsErrorCode

  constructor(code: KmsErrorCode, message: string) {
    super(message)
    this.code = code
  }
}

const AUTHENTICATION_CODES: Record<AuthenticationErrorCode, KmsErrorCode> = {
  missing: 'IncompleteSignatureException',
  malformed: 'IncompleteSignatureException',
  scope: 'InvalidSignatureException',
  skewed: 'InvalidSignatureException',
  mismatch: 'InvalidSignatureException',
}

const RECEIVE_CODES: Record<ReceiveErrorCode, KmsErrorCode> = {
  'repeated-header': 'IncompleteSignatureException',
  'too-large': 'ValidationException',
  'broken-off': 'ValidationException',
}

/**
 * The SDK repeats a 5xx and, by its name, a ThrottlingException; every other 4xx is final for it. So only our own
 * failure is a 500, and a denial never.
 */
export function statusOf(code: KmsErrorCode): 400 | 500 {
  return code === 'KMSInternalException' ? 500 : 400
}

/** Whatever was thrown, as the answer it deserves; `null` for a failure of our own, whose words stay in the log. */
export function toKmsError(error: unknown): KmsError | null {
  if (error instanceof KmsError) return error
  if (error instanceof AuthenticationError) {
    return new KmsError(AUTHENTICATION_CODES[error.code], error.message)
  }
  if (error instanceof ReceiveError) return new KmsError(RECEIVE_CODES[error.code], error.message)
  if (error instanceof GateFull) return new KmsError('ThrottlingException', error.message)
  return null
}

/** The signature, or the refusal thrown. */
export function signatureOf(result: SignNowResult): Uint8Array {
  switch (result.kind) {
    case 'signed':
      return result.compact
    case 'denied':
      throw new KmsError(
        'AccessDeniedException',
        named(`denied by ${result.rule}: ${result.message}`, result.requestId),
      )
    case 'waiting':
      throw new KmsError('KMSInvalidStateException', named(result.message, result.requestId))
    case 'rejected':
      throw new KmsError('AccessDeniedException', named('rejected by an officer', result.requestId))
    case 'malformed':
      throw new KmsError('ValidationException', result.message)
    case 'busy':
      throw new KmsError('ThrottlingException', named(result.message, result.requestId))
  }
}

function named(message: string, requestId: string | null): string {
  return requestId === null ? message : `${message} (request ${requestId})`
}
