import type { Context } from 'hono'
import type { ProblemCode, ProblemView } from '../api/problem.ts'
import { StoreBusyError } from '../custody/ports.ts'
import { AuthenticationError } from './authentication-error.ts'
import type { HttpEnv } from './env.ts'
import { GateFull } from './gate.ts'
import { ReceiveError } from './received.ts'
import type { ReceiveErrorCode } from './received.ts'

export const problemStatus = {
  busy: 503,
  conflict: 409,
  denied: 403,
  forbidden: 403,
  internal: 500,
  malformed: 400,
  'method-not-allowed': 405,
  'not-found': 404,
  rejected: 409,
  stale: 409,
  'too-large': 413,
  unauthenticated: 401,
  'unsupported-media-type': 415,
  void: 409,
} as const satisfies Record<ProblemCode, number>

const TITLE: Record<(typeof problemStatus)[ProblemCode], string> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  409: 'Conflict',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
}

const RECEIVE_CODES: Record<ReceiveErrorCode, ProblemCode> = {
  'repeated-header': 'malformed',
  'broken-off': 'malformed',
  'too-large': 'too-large',
}

/** What a problem says beyond its code and words. */
export type ProblemFields = Pick<ProblemView, 'rule' | 'request' | 'state'>

/** An answer of `/v1` that is no success. `detail` is for the caller's eyes. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError'
  readonly code: ProblemCode
  readonly fields: ProblemFields

  constructor(code: ProblemCode, detail: string, fields: ProblemFields = {}) {
    super(detail)
    this.code = code
    this.fields = fields
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
  if (error instanceof StoreBusyError) {
    return new ProblemError('busy', 'the database cannot serve this now; ask again')
  }
  return null
}

/** RFC 9457, with our stable `code` and the name under which the log has this request. */
export function respondWithProblem(
  c: Context<HttpEnv>,
  { code, message, fields }: ProblemError,
  headers: Record<string, string> = {},
): Response {
  const { correlationId, facts } = c.var
  facts.code = code
  const status = problemStatus[code]
  const body: ProblemView = {
    type: 'about:blank',
    title: TITLE[status],
    status,
    code,
    detail: message,
    correlationId,
    ...fields,
  }
  return c.body(JSON.stringify(body), status, {
    'content-type': 'application/problem+json',
    ...EXTRA_HEADERS[code],
    ...headers,
  })
}

const EXTRA_HEADERS: Partial<Record<ProblemCode, Record<string, string>>> = {
  busy: { 'retry-after': '1' },
  unauthenticated: { 'www-authenticate': 'Bearer, AWS4-HMAC-SHA256, Holdfast-Officer' },
}
