import { Hono } from 'hono'
import type { Context } from 'hono'
import type { CheckpointView } from '../../api/audit.ts'
import type { KeyView } from '../../api/key.ts'
import type { RequestList, RequestView } from '../../api/request.ts'
import type { KeyConfig } from '../../policy/policy-set.ts'
import { verifyBearer } from '../bearer.ts'
import type { Credential, FindCredential } from '../credential.ts'
import type { HttpEnv } from '../env.ts'
import type { Gate } from '../gate.ts'
import { ProblemError } from '../problem.ts'
import type { Received } from '../received.ts'
import { receive } from '../received.ts'
import { verifySigV4 } from '../sigv4/verify.ts'
import { cancel, propose, readOwn, sign, submit } from './actions.ts'
import type { ActionDeps, Own } from './actions.ts'
import { parseProposal, refuseBody } from './body.ts'
import { parseListQuery } from './query.ts'
import type { ListRequests } from './request-view.ts'

/** null: nothing has been checkpointed yet. */
export type ReadCheckpoint = () => Promise<{ size: number; note: string } | null>

export type V1Deps = ActionDeps & {
  readonly readCheckpoint: ReadCheckpoint
  readonly findCredential: FindCredential
  readonly listRequests: ListRequests
  readonly now: () => Date
  readonly lookUpGate: Gate
}

type V1Env = {
  Bindings: HttpEnv['Bindings']
  Variables: HttpEnv['Variables'] & { caller: string; received: Received }
}

/** The JSON API. Every path below `/v1` needs a caller, those that do not exist too. */
export function createV1(deps: V1Deps): Hono<V1Env> {
  const v1 = new Hono<V1Env>()
  v1.use(async (c, next) => {
    const received = await receive(c.env.incoming)
    const { caller } = await deps.lookUpGate(() => authenticate(received, deps))
    c.set('received', received)
    c.set('caller', caller)
    c.var.facts.caller = caller
    await next()
  })
  v1.get('/requests', (c) => listRequests(c, deps.listRequests))
  v1.post('/requests', (c) => proposeRequest(c, deps))
  v1.get('/requests/:id', async (c) => c.json(await readOwn(ownOf(c), deps)))
  for (const [name, act] of Object.entries({ sign, submit, cancel })) {
    v1.post(`/requests/:id/${name}`, async (c) => {
      refuseBody(c.var.received)
      const view = await act(ownOf(c), deps)
      return c.json(view, statusOf(view, 200))
    })
  }
  v1.get('/keys', (c) => c.json({ keys: deps.keysOf(c.var.caller).map(keyView) }))
  v1.get('/audit/checkpoint', async (c) => c.json(await newestCheckpoint(deps.readCheckpoint)))
  return v1
}

async function newestCheckpoint(read: ReadCheckpoint): Promise<CheckpointView> {
  const found = await read()
  if (found === null) throw new ProblemError('not-found', 'nothing has been checkpointed yet')
  return { size: found.size, checkpoint: found.note }
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
  return c.json({ requests, cursor } satisfies RequestList)
}

async function proposeRequest(c: Context<V1Env>, deps: V1Deps): Promise<Response> {
  const { caller, received } = c.var
  const view = await propose({ caller, ...parseProposal(received) }, deps)
  c.header('location', `/v1/requests/${view.id}`)
  return c.json(view, statusOf(view, 201))
}

/** 202: what was asked for is not done yet; the state says what it waits for. */
function statusOf({ state, submission }: RequestView, done: 200 | 201): 200 | 201 | 202 {
  if (state === 'proposed' || state === 'signing' || state === 'submitted') return 202
  return state === 'returned' && submission?.outcome === 'unknown' ? 202 : done
}

function ownOf(c: Context<V1Env>): Own {
  return { caller: c.var.caller, id: c.req.param('id') ?? '' }
}

/** Where the private half lies is the operator's business. */
function keyView({ id, did, curve, class: keyClass, development }: KeyConfig): KeyView {
  return { id, did, curve, class: keyClass, development }
}
