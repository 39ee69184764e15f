import { Hono } from 'hono'
import type { Context } from 'hono'
import type { KeyConfig } from '../../policy/policy-set.ts'
import { verifyBearer } from '../bearer.ts'
import type { Credential, FindCredential } from '../credential.ts'
import type { HttpEnv } from '../env.ts'
import type { Gate } from '../gate.ts'
import { ProblemError } from '../problem.ts'
import type { Received } from '../received.ts'
import { receive } from '../received.ts'
import { verifySigV4 } from '../sigv4/verify.ts'
import { isRequestId, parseListQuery } from './query.ts'
import type { ListRequests, ReadRequest } from './request-view.ts'

export type V1Deps = {
  readonly findCredential: FindCredential
  readonly keysOf: (caller: string) => readonly KeyConfig[]
  readonly listRequests: ListRequests
  readonly readRequest: ReadRequest
  readonly now: () => Date
  readonly lookUpGate: Gate
}

type V1Env = { Bindings: HttpEnv['Bindings']; Variables: HttpEnv['Variables'] & { caller: string } }

/** The JSON API. Every path below `/v1` needs a caller, those that do not exist too. */
export function createV1(deps: V1Deps): Hono<V1Env> {
  const v1 = new Hono<V1Env>()
  v1.use(async (c, next) => {
    const request = await receive(c.env.incoming)
    const { caller } = await deps.lookUpGate(() => authenticate(request, deps))
    c.set('caller', caller)
    c.var.facts.caller = caller
    await next()
  })
  v1.get('/requests', (c) => listRequests(c, deps.listRequests))
  v1.get('/requests/:id', (c) => readRequest(c, deps.readRequest))
  v1.get('/keys', (c) => c.json({ keys: deps.keysOf(c.var.caller).map(keyView) }))
  return v1
}

function authenticate(request: Received, { findCredential, now }: V1Deps): Promise<Credential> {
  const authorization = request.headers.get('authorization') ?? ''
  return authorization.startsWith('Bearer ')
    ? verifyBearer(authorization, findCredential)
    : verifySigV4(request, { findCredential, service: 'holdfast', now: now() })
}

async function listRequests(c: Context<V1Env>, list: ListRequests): Promise<Response> {
  const { limit, ...query } = parseListQuery(c.env.incoming.url ?? '')
  // One more than asked for says whether there is a next page.
  const found = await list({ caller: c.var.caller, ...query, limit: limit + 1 })
  const requests = found.slice(0, limit)
  const cursor = found.length > limit ? requests.at(-1)!.id : null
  return c.json({ requests, cursor })
}

async function readRequest(c: Context<V1Env>, read: ReadRequest): Promise<Response> {
  const id = c.req.param('id') ?? ''
  const request = isRequestId(id) ? await read({ caller: c.var.caller, id }) : null
  if (request === null) throw new ProblemError('not-found', 'this caller has no such request')
  return c.json(request)
}

/** Where the private half lies is the operator's business. */
function keyView({ id, did, curve, class: keyClass, development }: KeyConfig): object {
  return { id, did, curve, class: keyClass, development }
}
