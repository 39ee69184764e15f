export type PrivateServerErrorCode =
  | 'no-binaries'
  | 'no-account'
  | 'wrong-owner'
  | 'unreachable'
  | 'copied'
  | 'damaged'
  | 'version'
  | 'socket-directory'
  | 'disk-full'
  | 'refused'
  | 'start-failed'
  | 'start-timeout'
  | 'stop-failed'

/** Why the private Postgres cannot be used. The message says what to do and holds no secret. */
export class PrivateServerError extends Error {
  override readonly name = 'PrivateServerError'
  readonly code: PrivateServerErrorCode

  constructor(code: PrivateServerErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** The `code` of a Node system error or a Postgres error (SQLSTATE), if it carries one. */
export function errorCode(error: unknown): string | null {
  if (typeof error !== 'object' || error === null || !('code' in error)) return null
  return typeof error.code === 'string' ? error.code : null
}
