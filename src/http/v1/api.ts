import { Hono } from 'hono'
import type { Context } from 'hono'
import type { KeyView } from '../../api/key.ts'
import type { RequestList, RequestView } from '../../api/request.ts'
import type { KeyConfig } from '../../policy/policy-set.ts'
import { verifyBearer } from '../bearer.ts'
import type { FindCredential } from '../credential.ts'
import type { HttpEnv } from '../env.ts'
import type { Gate } from '../gate.ts'
import { verifyOfficer } from '../officer.ts'
import type { OfficerDeps } from '../officer.ts'
import { ProblemError } from '../problem.ts'
import type { Received } from '../received.ts'
import { receive } from '../received.ts'
import { verifySigV4 } from '../sigv4/verify.ts'
import { cancel, ownOf, propose, readNamed, say, sign, submit } from './actions.ts'
import type { ActionDeps, Actor, Named } from './actions.ts'
import { listEntries, newestCheckpoint, proveOne } from './audit.ts'
import type { AuditReads } from './audit.ts'
import { parseProposal, refuseBody } from './body.ts'
import { freezeSigning } from './freeze.ts'
import type { Freeze } from './freeze.ts'
import { parseListQuery } from './query.ts'
import type { ListRequests } from './request-view.ts'
import { parseSaying } from './saying.ts'

export type V1Deps = ActionDeps &
  AuditReads & {
    readonly findCredential: FindCredential
    readonly listRequests: ListRequests
    readonly now: () => Date
    readonly lookUpGate: Gate
    readonly officers: OfficerDeps
    readonly freeze: Freeze
    /** Every key, for officers. */
    readonly allKeys: readonly KeyConfig[]
  }

type V1Env = {
  Bindings: HttpEnv['Bindings']
  Variables: HttpEnv['Variables'] & { actor: Actor; received: Received }
}

/** The JSON API. Every path below `/v1` needs a caller or an officer, those that do not exist too. */
export function createV1(deps: V1Deps): Hono<V1Env> {
  const v1 = new Hono<V1Env>()
  v1.use(async (c, next) => {
    const received = await receive(c.env.incoming)
    const actor = await deps.lookUpGate(() => authenticate(received, deps))
    c.set('received', received)
    c.set('actor', actor)
    if (actor.kind === 'caller') c.var.facts.caller = actor.caller
    else c.var.facts.officer = actor.person
    await next()
  })
  v1.get('/requests', (c) => listRequests(c, deps.listRequests))
  v1.post('/requests', (c) => proposeRequest(c, deps))
  v1.get('/requests/:id', async (c) => c.json(await readNamed(namedBy(c), deps)))
  v1.post('/requests/:id/sign', async (c) => {
    refuseBody(c.var.received)
    const view = await sign(await ownOf(namedBy(c), deps), deps)
    return c.json(view, statusOf(view, 200))
  })
  v1.post('/requests/:id/submit', async (c) => {
    refuseBody(c.var.received)
    // An officer may send on what any caller had signed: during a freeze nobody else does.
    const view = await submit(await ownOf({ ...namedBy(c), any: true }, deps), deps)
    return c.json(view, statusOf(view, 200))
  })
  v1.post('/requests/:id/approvals', (c) => sayOf(c, 'approve', deps))
  v1.post('/requests/:id/rejections', (c) => sayOf(c, 'reject', deps))
  v1.post('/requests/:id/cancel', async (c) => await cancelRequest(c, deps))
  v1.post('/freeze', async (c) => c.json(await freezeSigning(c.var, deps.freeze)))
  v1.get('/keys', (c) => c.json({ keys: keysFor(c.var.actor, deps).map(keyView) }))
  v1.get('/audit/checkpoint', async (c) => c.json(await newestCheckpoint(deps)))
  v1.get('/audit/entries', async (c) =>
    c.json(await listEntries(c.var.actor, c.env.incoming.url ?? '', deps)),
  )
  v1.get('/audit/proof/:index', async (c) =>
    c.text(await proveOne(c.var.actor, c.req.param('index'), deps)),
  )
  return v1
}

async function authenticate(request: Received, deps: V1Deps): Promise<Actor> {
  const authorization = request.headers.get('authorization') ?? ''
  const { findCredential, now } = deps
  if (authorization.startsWith('Holdfast-Officer ')) {
    const { id } = await verifyOfficer(request, { ...deps.officers, now: now() })
    return { kind: 'officer', person: id }
  }
  const { caller } = authorization.startsWith('Bearer ')
    ? await verifyBearer(authorization, findCredential)
    : await verifySigV4(request, { findCredential, service: 'holdfast', now: now() })
  return { kind: 'caller', caller }
}

async function listRequests(c: Context<V1Env>, list: ListRequests): Promise<Response> {
  const { limit, ...query } = parseListQuery(c.env.incoming.url ?? '')
  const { actor } = c.var
  const caller = actor.kind === 'caller' ? actor.caller : null
  // One more than asked for says whether there is a next page.
  const found = await list({ caller, ...query, limit: limit + 1 })
  const requests = found.slice(0, limit)
  const cursor = found.length > limit ? requests.at(-1)!.id : null
  return c.json({ requests, cursor } satisfies RequestList)
}

async function proposeRequest(c: Context<V1Env>, deps: V1Deps): Promise<Response> {
  const { actor, received } = c.var
  const view = await propose({ actor, ...parseProposal(received) }, deps)
  c.header('location', `/v1/requests/${view.id}`)
  return c.json(view, statusOf(view, 201))
}

async function sayOf(
  c: Context<V1Env>,
  decision: 'approve' | 'reject',
  deps: V1Deps,
): Promise<Response> {
  if (c.var.actor.kind !== 'officer') {
    throw new ProblemError('forbidden', 'only an officer can say this, by a signed call')
  }
  return c.json(await say({ ...namedBy(c), decision, raw: parseSaying(c.var.received) }, deps))
}

/** A caller takes its own request back; an officer ends any one, by a rejection that they sign. */
async function cancelRequest(c: Context<V1Env>, deps: V1Deps): Promise<Response> {
  const { actor } = c.var
  if (actor.kind === 'officer') return await sayOf(c, 'reject', deps)
  refuseBody(c.var.received)
  return c.json(await cancel({ caller: actor.caller, id: namedBy(c).id }, deps))
}

/** 202: what was asked for is not done yet; the state says what it waits for. */
function statusOf({ state, submission }: RequestView, done: 200 | 201): 200 | 201 | 202 {
  if (state === 'proposed' || state === 'signing' || state === 'submitted') return 202
  return state === 'returned' && submission?.outcome === 'unknown' ? 202 : done
}

function namedBy(c: Context<V1Env>): Named {
  return { actor: c.var.actor, id: c.req.param('id') ?? '' }
}

function keysFor(actor: Actor, deps: V1Deps): readonly KeyConfig[] {
  return actor.kind === 'caller' ? deps.keysOf(actor.caller) : deps.allKeys
}

/** Where the private half lies is the operator's business. */
function keyView({ id, did, curve, class: keyClass, development }: KeyConfig): KeyView {
  return { id, did, curve, class: keyClass, development }
}
