export type PrivateServerErrorCode =
  | 'no_binaries'
  | 'no_account'
  | 'wrong_owner'
  | 'unreachable'
  | 'copied'
  | 'damaged'
  | 'version'
  | 'socket_directory'
  | 'disk_full'
  | 'refused'
  | 'start_failed'
  | 'start_timeout'
  | 'stop_failed'

/** Why the private Postgres cannot be used. The message says what to do and holds no secret. */
export class PrivateServerError extends Error {
  readonly code: PrivateServerErrorCode

  constructor(code: PrivateServerErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'PrivateServerError'
    this.code = code
  }
}

/** The `code` of a Node system error or a Postgres error (SQLSTATE), if it carries one. */
export function errorCode(error: unknown): string | null {
  if (typeof error !== 'object' || error === null || !('code' in error)) return null
  return typeof error.code === 'string' ? error.code : null
}
