/**
 * - `malformed`: not the shape of an operation, a log, a digest or a signature
 * - `not-canonical`: DAG-CBOR that does not re-encode to the same bytes
 * - `too-large`: above an absolute bound
 * - `bad-key`: not a canonical `did:key` of K-256 or P-256
 * - `bad-signature`: well-formed, but by none of the keys that may sign
 * - `invalid-log`: an audit log that breaks a rule; `entry` and `rule` say which
 */
export type PlcErrorCode =
  | 'malformed'
  | 'not-canonical'
  | 'too-large'
  | 'bad-key'
  | 'bad-signature'
  | 'invalid-log'

/** R1 to R8 are the rules of did:plc for rotation and recovery; the rest are what comes before them. */
export type LogRule =
  | 'R1'
  | 'R2'
  | 'R3'
  | 'R4'
  | 'R5'
  | 'R6'
  | 'R7'
  | 'R8'
  | 'ENTRY'
  | 'CID'
  | 'SIGNATURE'

/** The message is safe to print anywhere: foreign text in it went through `quoteText`. */
export class PlcError extends Error {
  override readonly name = 'PlcError'
  readonly code: PlcErrorCode
  /** Index in the audit log, and the rule it breaks; set for `invalid-log` only. */
  readonly entry: number | undefined
  readonly rule: LogRule | undefined

  constructor(
    code: PlcErrorCode,
    message: string,
    detail: { cause?: unknown; entry?: number; rule?: LogRule } = {},
  ) {
    super(message, 'cause' in detail ? { cause: detail.cause } : undefined)
    this.code = code
    this.entry = detail.entry
    this.rule = detail.rule
  }
}
