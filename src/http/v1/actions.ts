import type { RequestView } from '../../api/request.ts'
import type { Cancel } from '../../custody/cancel.ts'
import type { Propose } from '../../custody/propose.ts'
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
  readonly signRequest: SignRequest
  readonly submit: Submit
  readonly cancel: Cancel
  readonly gates: { readonly sign: Gate; readonly submit: Gate }
}

/** A caller, and what it wrote as the id of a request. */
export type Own = { readonly caller: string; readonly id: string }

/** @returns the request as it stands now @throws ProblemError */
export async function readOwn(own: Own, { readRequest }: ActionDeps): Promise<RequestView> {
  const request = isRequestId(own.id) ? await readRequest(own) : null
  if (request === null) throw notFound()
  return request
}

/** @returns the new request, or the one that these bytes have already @throws ProblemError */
export async function propose(
  { caller, keyId, message }: ProposalBody & { readonly caller: string },
  deps: ActionDeps,
): Promise<RequestView> {
  // Foreign, unknown and offline keys are the same to a caller, so that it learns of no key but its own.
  const key = deps.keysOf(caller).find(({ id, class: kind }) => id === keyId && kind === 'online')
  if (key === undefined)
    throw new ProblemError('not-found', 'no key of this id signs for this caller')
  const result = await deps.gates.sign(() => deps.propose({ caller, key, message }))
  switch (result.kind) {
    case 'proposed':
      return await readOwn({ caller, id: result.requestId }, deps)
    case 'denied':
      throw denied(result)
    case 'malformed':
      throw new ProblemError('malformed', result.message)
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
      return await readOwn(own, deps)
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
  const result = await deps.gates.submit(() => deps.submit(inputOf(own)))
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
    case 'busy':
      throw busy({ message: result.message, requestId: own.id })
  }
}

/** @throws ProblemError */
export async function cancel(own: Own, deps: ActionDeps): Promise<RequestView> {
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
function inputOf({ caller, id }: Own): { caller: string; requestId: string } {
  if (!isRequestId(id)) throw notFound()
  return { caller, requestId: id }
}

function notFound(): ProblemError {
  return new ProblemError('not-found', 'this caller has no such request')
}

function conflict({ id }: Own, state: RequestState, message: string): ProblemError {
  return new ProblemError('conflict', `the request is ${state}: ${message}`, { request: id, state })
}

function denied(result: { rule: string; message: string; requestId: string }): ProblemError {
  const { rule, message, requestId } = result
  return new ProblemError('denied', `denied by ${rule}: ${message}`, { rule, request: requestId })
}

type BusyResult = { readonly message: string; readonly requestId: string | null }

function busy({ message, requestId }: BusyResult): ProblemError {
  return new ProblemError('busy', message, requestId === null ? {} : { request: requestId })
}
