import type { Context } from 'hono'
import { AuthenticationError } from './authentication-error.ts'
import type { HttpEnv } from './env.ts'
import { GateFull } from './gate.ts'
import { ReceiveError } from './received.ts'
import type { ReceiveErrorCode } from './received.ts'

/** Stable: other people's scripts compare them. */
export type ProblemCode =
  | 'busy'
  | 'internal'
  | 'malformed'
  | 'method-not-allowed'
  | 'not-found'
  | 'too-large'
  | 'unauthenticated'

const STATUS = {
  busy: 503,
  internal: 500,
  malformed: 400,
  'method-not-allowed': 405,
  'not-found': 404,
  'too-large': 413,
  unauthenticated: 401,
} as const satisfies Record<ProblemCode, number>

const TITLE: Record<ProblemCode, string> = {
  busy: 'Service Unavailable',
  internal: 'Internal Server Error',
  malformed: 'Bad Request',
  'method-not-allowed': 'Method Not Allowed',
  'not-found': 'Not Found',
  'too-large': 'Content Too Large',
  unauthenticated: 'Unauthorized',
}

const RECEIVE_CODES: Record<ReceiveErrorCode, ProblemCode> = {
  'repeated-header': 'malformed',
  'broken-off': 'malformed',
  'too-large': 'too-large',
}

/** An answer of `/v1` that is no success. `detail` is for the caller's eyes. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError'
  readonly code: ProblemCode

  constructor(code: ProblemCode, detail: string) {
    super(detail)
    this.code = code
  }
}

/** Whatever was thrown, as the answer it deserves; `null` for a failure of our own, whose words stay in the log. */
export function toProblem(error: unknown): ProblemError | null {
  if (error instanceof ProblemError) return error
  if (error instanceof AuthenticationError)
    return new ProblemError('unauthenticated', error.message)
  if (error instanceof ReceiveError) {
    return new ProblemError(RECEIVE_CODES[error.code], error.message)
  }
  if (error instanceof GateFull) return new ProblemError('busy', error.message)
  return null
}

/** RFC 9457, with our stable `code` and the name under which the log has this request. */
export function respondWithProblem(
  c: Context<HttpEnv>,
  { code, message }: ProblemError,
  headers: Record<string, string> = {},
): Response {
  const { correlationId, facts } = c.var
  facts.code = code
  const status = STATUS[code]
  const body = {
    type: 'about:blank',
    title: TITLE[code],
    status,
    code,
    detail: message,
    correlationId,
  }
  return c.body(JSON.stringify(body), status, {
    'content-type': 'application/problem+json',
    ...EXTRA_HEADERS[code],
    ...headers,
  })
}

const EXTRA_HEADERS: Partial<Record<ProblemCode, Record<string, string>>> = {
  busy: { 'retry-after': '1' },
  unauthenticated: { 'www-authenticate': 'Bearer, AWS4-HMAC-SHA256' },
}
