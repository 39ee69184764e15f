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

/** One page of the accounts that a PDS lists: its own word, about anybody it likes. */
export type AccountPage = {
  readonly dids: readonly string[]
  /** Where the next page begins; null: this was the last. */
  readonly cursor: string | null
}

/**
 * A page of a PDS's accounts after `cursor` (null: from the first one).
 * @throws DirectoryError; every call has a deadline and a bound on its answer
 */
export type ListAccounts = (
  pds: string,
  cursor: string | null,
  signal: AbortSignal,
) => Promise<AccountPage>

export type DirectoryErrorCode =
  /** The directory does not know the DID. */
  | 'not-registered'
  /** It wants to be asked less often; `retryAfterMs` if it said when. Nothing is known. */
  | 'rate-limited'
  /** No usable answer: network, deadline, 5xx. Nothing is known. */
  | 'unknown'
  /** An answer that is not what the directory's API gives. */
  | 'malformed'

export class DirectoryError extends Error {
  override readonly name = 'DirectoryError'
  readonly code: DirectoryErrorCode
  readonly retryAfterMs: number | null

  constructor(
    code: DirectoryErrorCode,
    message: string,
    options: ErrorOptions & { readonly retryAfterMs?: number | null } = {},
  ) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.code = code
    this.retryAfterMs = options.retryAfterMs ?? null
  }
}
