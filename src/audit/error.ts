/**
 * - `malformed`: not the one form of an entry, a bundle, a note, a checkpoint or a proof
 * - `too-large`: above the bound of its kind
 * - `unknown-version`: an entry of a schema or kind that this version does not know
 * - `untrusted`: no signature by a key that was asked for
 * - `bad-signature`: a signature that names a known key and does not verify under it
 */
export type AuditErrorCode =
  | 'malformed'
  | 'too-large'
  | 'unknown-version'
  | 'untrusted'
  | 'bad-signature'

/** The message is safe to print anywhere: foreign text in it went through `quoteText`. */
export class AuditError extends Error {
  override readonly name = 'AuditError'
  readonly code: AuditErrorCode

  constructor(code: AuditErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
  }
}
