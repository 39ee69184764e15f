import { randomUUID } from 'node:crypto'
import { Hono } from 'hono'
import type { Context, Next } from 'hono'
import type { SignNow } from '../custody/sign-now.ts'
import { escapeText } from '../plc/text.ts'
import type { Credential, FindCredential } from './credential.ts'
import type { HttpEnv, HttpLog } from './env.ts'
import { createGate } from './gate.ts'
import type { CheckReadiness } from './health.ts'
import { shareReadiness } from './health.ts'
import { createKmsDoor } from './kms/door.ts'
import { observeAnswers } from './metrics.ts'
import type { HttpAnswer } from './metrics.ts'
import { buildOpenApi } from './openapi.ts'
import { ProblemError, respondWithProblem, toProblem } from './problem.ts'
import { createPasskeyDoor } from './passkey/door.ts'
import type { PasskeyLinks } from '../api/passkey.ts'
import type { ActionDeps } from './v1/actions.ts'
import { createV1 } from './v1/api.ts'
import type { V1Deps } from './v1/api.ts'
import type { AuditReads } from './v1/audit.ts'
import type { ListRequests } from './v1/request-view.ts'

export type AppDeps = Omit<ActionDeps, 'gates'> &
  AuditReads &
  Pick<V1Deps, 'officers' | 'allKeys' | 'freeze'> & {
    readonly findCredential: FindCredential
    /** Credentials in force when the service starts: the KMS door knows them even if the database then goes away. */
    readonly initialCredentials: readonly Credential[]
    readonly signNow: SignNow
    readonly passkeys: PasskeyLinks
    readonly listRequests: ListRequests
    readonly readiness: CheckReadiness
    /** Prometheus text. Open to everyone, so: no DIDs, names or secrets in it. */
    readonly metrics: () => Promise<string>
    /** Told of every answer. */
    readonly observe: (answer: HttpAnswer) => void
    readonly log: HttpLog
    readonly now: () => Date
    readonly limits?: Partial<AppLimits>
  }

export type AppLimits = {
  /** Credential look-ups under way at once, both doors together. */
  readonly lookUps: number
  /** Signatures and proposals under way at once. */
  readonly signatures: number
  /** Submissions to the directory under way at once. */
  readonly submissions: number
}

const READINESS_SHARED_MS = 1000

/** One of ours is a page, and has a policy of its own; `no-store` since answers differ by caller. */
const SECURITY_HEADERS = Object.entries({
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
})

const METHODS: Record<string, string> = {
  '/healthz': 'GET, HEAD',
  '/readyz': 'GET, HEAD',
  '/metrics': 'GET, HEAD',
  '/openapi.json': 'GET, HEAD',
  '/kms': 'POST',
  '/kms/': 'POST',
  '/console/passkey': 'GET, HEAD',
  '/console/passkey/open': 'POST',
  '/console/passkey/answer': 'POST',
  '/v1/requests': 'GET, HEAD, POST',
  '/v1/requests/:id': 'GET, HEAD',
  '/v1/requests/:id/approvals': 'POST',
  '/v1/requests/:id/rejections': 'POST',
  '/v1/requests/:id/sign': 'POST',
  '/v1/requests/:id/submit': 'POST',
  '/v1/requests/:id/cancel': 'POST',
  '/v1/freeze': 'POST',
  '/v1/keys': 'GET, HEAD',
  '/v1/audit/checkpoint': 'GET, HEAD',
  '/v1/audit/entries': 'GET, HEAD',
  '/v1/audit/proof/:index': 'GET, HEAD',
}

/** All front doors. Needs Node's request in `c.env.incoming`, as `server.ts` gives it. */
export function createApp(deps: AppDeps): Hono<HttpEnv> {
  const lookUp = createGate(deps.limits?.lookUps ?? 256)
  const sign = createGate(deps.limits?.signatures ?? 256)
  const submit = createGate(deps.limits?.submissions ?? 16)
  const app = new Hono<HttpEnv>()
  app.use((c, next) => identify(c, next))
  app.use(observeAnswers(deps.observe, Object.keys(METHODS)))
  addHealth(app, deps)
  addDescriptions(app, deps)
  app.use((c, next) => logRequest(c, next, deps.log))
  app.route('/', createKmsDoor({ ...deps, gates: { lookUp, sign } }))
  app.route('/console/passkey', createPasskeyDoor({ passkeys: deps.passkeys, gate: lookUp }))
  app.route('/v1', createV1({ ...deps, lookUpGate: lookUp, gates: { sign, submit } }))
  for (const [path, allow] of Object.entries(METHODS)) {
    app.all(path, (c) => respondWithProblem(c, notAllowed(allow), { allow }))
  }
  app.notFound((c) => respondWithProblem(c, new ProblemError('not-found', 'nothing is here')))
  app.onError((error, c) => respondWithFailure(c, error, deps.log))
  return app
}

function addHealth(app: Hono<HttpEnv>, deps: AppDeps): void {
  const readiness = shareReadiness(deps.readiness, READINESS_SHARED_MS, deps.now)
  app.get('/healthz', (c) => c.json({ alive: true }))
  app.get('/readyz', async (c) => {
    const answer = await readiness()
    return c.json(answer, answer.ready ? 200 : 503)
  })
}

/** What scrapers and generators fetch. */
function addDescriptions(app: Hono<HttpEnv>, { metrics }: AppDeps): void {
  const document = JSON.stringify(buildOpenApi())
  app.get('/openapi.json', (c) => c.body(document, 200, { 'content-type': 'application/json' }))
  app.get('/metrics', async (c) =>
    c.body(await metrics(), 200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }),
  )
}

async function identify(c: Context<HttpEnv>, next: Next): Promise<void> {
  c.set('correlationId', randomUUID())
  c.set('facts', {})
  for (const [name, value] of SECURITY_HEADERS) c.header(name, value)
  await next()
}

/** Registered behind the health routes, whose askers would fill the log with sameness. */
async function logRequest(c: Context<HttpEnv>, next: Next, log: HttpLog): Promise<void> {
  const start = performance.now()
  await next()
  const { correlationId, facts } = c.var
  const ms = Math.round(performance.now() - start)
  // A stranger's words until it is one of our paths, and never with the query: some put secrets there.
  const path = escapeText((c.env.incoming.url ?? '').replace(/\?.*$/s, '').slice(0, 100))
  log.info(
    { correlationId, method: c.req.method, path, status: c.res.status, ms, ...facts },
    'http',
  )
}

function respondWithFailure(c: Context<HttpEnv>, error: Error, log: HttpLog): Response {
  const problem = toProblem(error)
  if (problem !== null) return respondWithProblem(c, problem)
  const { correlationId, facts } = c.var
  log.error({ err: error, correlationId, ...facts }, 'http: our own failure')
  const detail = 'internal failure; the log has it under the correlation id'
  return respondWithProblem(c, new ProblemError('internal', detail))
}

function notAllowed(allow: string): ProblemError {
  return new ProblemError('method-not-allowed', `allowed here: ${allow}`)
}
