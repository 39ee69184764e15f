/**
 * - `malformed`: not the one canonical encoding of a statement, or evidence of no known form
 * - `unknown-roster`: names an epoch of officers that is not known here
 * - `unknown-credential`: no such person in that epoch, or no such credential of theirs
 * - `bad-signature`: well-formed, and not made by that credential over this statement
 * - `bad-assertion`: a passkey's answer that breaks a rule of WebAuthn; the message says which
 */
export type ApprovalErrorCode =
  | 'malformed'
  | 'unknown-roster'
  | 'unknown-credential'
  | 'bad-signature'
  | 'bad-assertion'

/** The message is safe to print anywhere: nothing that a stranger wrote is in it. */
export class ApprovalError extends Error {
  override readonly name = 'ApprovalError'
  readonly code: ApprovalErrorCode

  constructor(code: ApprovalErrorCode, message: string, options: { cause?: unknown } = {}) {
    super(message, options)
    this.code = code
  }
}
