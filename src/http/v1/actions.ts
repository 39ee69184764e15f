import type { RequestView } from '../../api/request.ts'
import type { RawApproval } from '../../approval/evidence.ts'
import type { Say } from '../../custody/approve.ts'
import type { Cancel } from '../../custody/cancel.ts'
import type { ProposeAnew } from '../../custody/propose-anew.ts'
import type { Propose, ProposeResult } from '../../custody/propose.ts'
import type { RequestState } from '../../custody/request.ts'
import type { SignRequest } from '../../custody/sign-request.ts'
import type { Submit } from '../../custody/submit.ts'
import type { KeyConfig } from '../../policy/policy-set.ts'
import type { Gate } from '../gate.ts'
import { ProblemError } from '../problem.ts'
import type { ProposalBody } from './body.ts'
import { isRequestId } from './query.ts'
import type { ReadRequest } from './request-view.ts'

export type ActionDeps = {
  /** The keys granted to a caller; none for a caller that policies do not name. Does no I/O. */
  readonly keysOf: (caller: string) => readonly KeyConfig[]
  readonly readRequest: ReadRequest
  readonly propose: Propose
  readonly proposeAnew: ProposeAnew
  readonly say: Say
  readonly signRequest: SignRequest
  readonly submit: Submit
  readonly cancel: Cancel
  readonly gates: { readonly sign: Gate; readonly submit: Gate }
}

/** Who is at the door: a program, or an officer. */
export type Actor =
  | { readonly kind: 'caller'; readonly caller: string }
  | { readonly kind: 'officer'; readonly person: string }

/** A caller, and what it, or an officer in its place, wrote as the id of a request. */
export type Own = { readonly caller: string; readonly id: string; readonly officer: string | null }

/** What somebody at the door wrote as the id of a request. */
export type Named = { readonly actor: Actor; readonly id: string }

/** @returns the request as it stands now @throws ProblemError */
export async function readNamed(
  { actor, id, any = false }: Named & { readonly any?: boolean },
  { readRequest }: ActionDeps,
): Promise<RequestView> {
  const caller = actor.kind === 'caller' ? actor.caller : null
  const request = isRequestId(id) ? await readRequest({ caller, id, any }) : null
  if (request === null) throw notFound()
  return request
}

/**
 * For what a caller does with its own: an officer does it with any that officers were asked about; with `any`, with
 * every one.
 */
export async function ownOf(
  named: Named & { readonly any?: boolean },
  deps: ActionDeps,
): Promise<Own> {
  const { actor, id } = named
  if (actor.kind === 'caller') return { caller: actor.caller, id, officer: null }
  const { caller } = await readNamed(named, deps)
  return { caller, id, officer: actor.person }
}

async function readOwn(
  { caller, id }: Pick<Own, 'caller' | 'id'>,
  deps: ActionDeps,
): Promise<RequestView> {
  return await readNamed({ actor: { kind: 'caller', caller }, id }, deps)
}

/** @returns the new request, or the one that these bytes have already @throws ProblemError */
export async function propose(
  { actor, keyId, message }: ProposalBody & { readonly actor: Actor },
  deps: ActionDeps,
): Promise<RequestView> {
  const result = await deps.gates.sign(() =>
    actor.kind === 'officer'
      ? deps.proposeAnew({ officer: actor.person, keyId, message })
      : proposeOwn({ caller: actor.caller, keyId, message }, deps),
  )
  switch (result.kind) {
    case 'proposed':
      return await readNamed({ actor, id: result.requestId }, deps)
    case 'not-found':
      throw new ProblemError('not-found', 'no key of this id signs here')
    case 'denied':
      throw denied(result)
    case 'rejected':
      throw rejected(result.requestId)
    case 'malformed':
      throw new ProblemError('malformed', result.message)
    case 'busy':
      throw busy(result)
  }
}

async function proposeOwn(
  { caller, keyId, message }: ProposalBody & { readonly caller: string },
  deps: ActionDeps,
): Promise<ProposeResult | { readonly kind: 'not-found' }> {
  // Foreign, unknown and offline keys are the same to a caller, so that it learns of no key but its own.
  const key = deps.keysOf(caller).find(({ id, class: kind }) => id === keyId && kind === 'online')
  return key === undefined ? { kind: 'not-found' } : await deps.propose({ caller, key, message })
}

/** What an officer says of a request. @throws ProblemError */
export async function say(
  { actor, id, decision, raw }: Named & { decision: 'approve' | 'reject'; raw: RawApproval },
  deps: ActionDeps,
): Promise<RequestView> {
  if (actor.kind !== 'officer') {
    throw new ProblemError('forbidden', 'only an officer can say this, by a signed call')
  }
  if (!isRequestId(id)) throw notFound()
  const result = await deps.say({ requestId: id, officer: actor.person, decision, raw })
  switch (result.kind) {
    case 'kept':
      return await readNamed({ actor, id }, deps)
    case 'not-found':
      throw notFound()
    case 'malformed':
      throw new ProblemError('malformed', result.message, { request: id })
    case 'void':
      throw new ProblemError('void', `it would count for nothing: ${result.message}`, {
        request: id,
      })
    case 'conflict':
      throw conflict({ id }, result.state, 'officers are not asked about it any more')
    case 'busy':
      throw busy(result)
  }
}

/** @throws ProblemError */
export async function sign(own: Own, deps: ActionDeps): Promise<RequestView> {
  const input = { ...inputOf(own), keys: deps.keysOf(own.caller) }
  const result = await deps.gates.sign(() => deps.signRequest(input))
  switch (result.kind) {
    case 'signed':
      return await readOwn({ ...own, id: result.requestId }, deps)
    case 'waiting':
      return await readOwn({ ...own, id: result.requestId }, deps)
    case 'rejected':
      throw rejected(result.requestId)
    case 'not-found':
      throw notFound()
    case 'conflict':
      throw conflict(own, result.state, 'it can no longer be signed; propose it again')
    case 'denied':
      throw denied(result)
    case 'malformed':
      throw new TypeError(`request ${own.id} holds no operation: ${result.message}`)
    case 'busy':
      if (result.ofKey === true) throw busy(result)
      return await whileSigning(own, result, deps)
  }
}

/** Another call is at work on it: that is where the request stands. */
async function whileSigning(own: Own, result: BusyResult, deps: ActionDeps): Promise<RequestView> {
  const request = result.requestId === null ? null : await readOwn(own, deps)
  if (request === null || (request.state !== 'signing' && request.signature === null)) {
    throw busy(result)
  }
  return request
}

/** @throws ProblemError */
export async function submit(own: Own, deps: ActionDeps): Promise<RequestView> {
  const result = await deps.gates.submit(() =>
    deps.submit({ ...inputOf(own), officer: own.officer }),
  )
  switch (result.kind) {
    case 'sent':
      return await readOwn(own, deps)
    case 'not-found':
      throw notFound()
    case 'conflict':
      throw conflict(own, result.state, result.message)
    case 'stale':
      throw new ProblemError(
        'stale',
        `prev is no longer the head of this identity, so the directory can never accept this; the head is ${result.head}`,
        { request: own.id },
      )
    case 'frozen':
      throw denied({ rule: 'FROZEN', message: result.message, requestId: own.id })
    case 'busy':
      throw busy({ message: result.message, requestId: own.id })
  }
}

/** @throws ProblemError */
export async function cancel(
  own: Pick<Own, 'caller' | 'id'>,
  deps: ActionDeps,
): Promise<RequestView> {
  const result = await deps.cancel(inputOf(own))
  switch (result.kind) {
    case 'cancelled':
      return await readOwn(own, deps)
    case 'not-found':
      throw notFound()
    case 'conflict':
      throw conflict(own, result.state, 'it can no longer be cancelled')
  }
}

/** What is no id is the id of nothing: the store is not asked. */
function inputOf({ caller, id }: Pick<Own, 'caller' | 'id'>): {
  caller: string
  requestId: string
} {
  if (!isRequestId(id)) throw notFound()
  return { caller, requestId: id }
}

function notFound(): ProblemError {
  return new ProblemError('not-found', 'this caller has no such request')
}

function conflict({ id }: Pick<Own, 'id'>, state: RequestState, message: string): ProblemError {
  return new ProblemError('conflict', `the request is ${state}: ${message}`, { request: id, state })
}

function denied(result: { rule: string; message: string; requestId: string | null }): ProblemError {
  const { rule, message, requestId } = result
  const about = requestId === null ? {} : { request: requestId }
  return new ProblemError('denied', `denied by ${rule}: ${message}`, { rule, ...about })
}

function rejected(request: string): ProblemError {
  return new ProblemError('rejected', 'an officer rejected this; a person may propose it anew', {
    request,
    state: 'rejected',
  })
}

type BusyResult = { readonly message: string; readonly requestId: string | null }

function busy({ message, requestId }: BusyResult): ProblemError {
  return new ProblemError('busy', message, requestId === null ? {} : { request: requestId })
}
