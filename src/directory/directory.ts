/** The PLC directory, as far as custody needs it. */
export type PlcDirectory = {
  /**
   * `GET /:did/log/audit`, unverified: verify it before believing a word.
   * @throws DirectoryError; every call has a deadline and a bound on its answer
   */
  getLog(did: string, signal: AbortSignal): Promise<unknown>
  /** Resolves when the directory answers at all. */
  ping(signal: AbortSignal): Promise<void>
}

export type DirectoryErrorCode =
  /** The directory does not know the DID. */
  | 'not-registered'
  /** No usable answer: network, deadline, 5xx, rate limit. Nothing is known. */
  | 'unknown'
  /** An answer that is not what the directory's API gives. */
  | 'malformed'

export class DirectoryError extends Error {
  override readonly name = 'DirectoryError'
  readonly code: DirectoryErrorCode

  constructor(code: DirectoryErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
