import { setTimeout as sleep } from 'node:timers/promises'
import type { ProblemView } from '../api/problem.ts'
import { ApiError, NoAnswerError } from './error.ts'
import { sigV4Headers } from './sigv4.ts'
import type { SigV4Credential } from './sigv4.ts'

/** What `callers add` prints as TOKEN: `<accessKeyId>.<token>`. It crosses the wire; SigV4's secret never does. */
export type BearerCredential = { readonly bearer: string }
/** An officer's: each call is signed by the officer's own key. @returns the `Authorization` header */
export type CallSigner = {
  signCall(call: { method: string; target: string; body: Uint8Array }): Promise<string>
}
export type ClientCredential = BearerCredential | SigV4Credential | CallSigner

export type ClientOptions = {
  /** Where the service is, e.g. `http://127.0.0.1:2590`. */
  readonly url: string
  /** null: only what is open to everyone. */
  readonly credential: ClientCredential | null
  /** For one answer; default 60 s, since a submission waits for the directory. */
  readonly timeoutMs?: number
}

export type Call = {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  readonly body?: unknown
}

export type Answer = { readonly status: number; readonly text: string }
export type Transport = (call: Call) => Promise<Answer>

const TIMEOUT_MS = 60_000
/** "Busy" is an invitation to ask again; every route here may be asked twice. */
const BUSY_RETRIES = 2
const MAX_RETRY_AFTER_S = 5

/** One call and its answer, with whatever status. @throws NoAnswerError */
export function createTransport(options: ClientOptions): Transport {
  const base = new URL(options.url)
  return async (call) => {
    for (let retries = 0; ; retries += 1) {
      const response = await send(base, call, options)
      const text = await response.text().catch(noAnswer)
      if (response.status !== 503 || call.path === '/readyz' || retries === BUSY_RETRIES) {
        return { status: response.status, text }
      }
      await sleep(retryAfterMs(response))
    }
  }
}

async function send(base: URL, call: Call, options: ClientOptions): Promise<Response> {
  const { credential, timeoutMs = TIMEOUT_MS } = options
  const url = new URL(call.path, base)
  const { method, query = {} } = call
  // `encodeURIComponent` leaves five characters that SigV4 wants escaped; none is in any of our values.
  url.search = Object.entries(query)
    .map((pair) => pair.map(encodeURIComponent).join('='))
    .join('&')
  const body = call.body === undefined ? '' : JSON.stringify(call.body)
  return await fetch(url, {
    method,
    redirect: 'error',
    signal: AbortSignal.timeout(timeoutMs),
    headers: {
      accept: 'application/json, application/problem+json',
      ...(call.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(await authorization({ method, url, body }, credential)),
    },
    ...(call.body === undefined ? {} : { body }),
  }).catch(noAnswer)
}

async function authorization(
  call: { method: string; url: URL; body: string },
  credential: ClientCredential | null,
): Promise<Record<string, string>> {
  if (credential === null) return {}
  if ('bearer' in credential) return { authorization: `Bearer ${credential.bearer}` }
  if ('signCall' in credential) {
    const { method, url } = call
    const target = `${url.pathname}${url.search}`
    const body = new TextEncoder().encode(call.body)
    return { authorization: await credential.signCall({ method, target, body }) }
  }
  return sigV4Headers(call, credential, new Date())
}

function noAnswer(cause: unknown): never {
  throw new NoAnswerError('no answer from the service', { cause })
}

function retryAfterMs(response: Response): number {
  const seconds = Number(response.headers.get('retry-after') ?? 1)
  return Math.min(Number.isFinite(seconds) ? seconds : 1, MAX_RETRY_AFTER_S) * 1_000
}

/** The JSON of a success. @throws ApiError, NoAnswerError */
export function readJson({ status, text }: Answer): unknown {
  const body = parse(text)
  if (status < 200 || status > 299) throw new ApiError(status, problemOf(body))
  if (body === undefined) throw new NoAnswerError('the answer is not JSON')
  return body
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** A proxy on the way has answers of its own. */
function problemOf(body: unknown): ProblemView | null {
  const problem = body as Partial<ProblemView> | null | undefined
  return typeof problem?.code === 'string' ? (problem as ProblemView) : null
}
