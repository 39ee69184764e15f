import { ApprovalError } from '../approval/error.ts'
import type { RawApproval } from '../approval/evidence.ts'
import { verifyApproval } from '../approval/verify.ts'
import type { VerifiedApproval } from '../approval/verify.ts'
import { weigh } from '../approval/weigh.ts'
import type { Weighed } from '../approval/weigh.ts'
import { orBusy, reportAlarmedStep, verifyAll } from './ask.ts'
import type { Busy, CustodyDeps } from './ask.ts'
import { askedCaseOf } from './asked-case.ts'
import type { AskedCase, AskedRequest } from './asked-case.ts'
import { rawKey } from './judge-quorum.ts'
import type { Verified } from './question.ts'
import type { Asked } from './ports.ts'
import { MAX_CLOCKS_APART_MS } from './request.ts'
import type { RequestState } from './request.ts'

/** Read under the lock under which it is written. */
export type SayingSnapshot = {
  readonly state: RequestState
  readonly asked: Asked
  /** The nonce stands in another statement already. */
  readonly nonceUsed: boolean
  readonly now: Date
  readonly instanceNow: Date
  readonly clocksApart: number
}

/** `to`: where the request stands with it; null leaves it where it is. */
export type SayingVerdict<T> =
  | { readonly kind: 'write'; readonly to: 'approved' | 'rejected' | null }
  | { readonly kind: 'stop'; readonly value: T }

export type Saying = {
  readonly found: AskedRequest
  readonly approval: VerifiedApproval
}

export type ApprovalStore = {
  /** null: there is none of this id, or nobody was asked about it. */
  find(requestId: string): Promise<AskedRequest | null>
  /**
   * Keeps what an officer said, with its entries, as `decide` has it from what is there; once more is
   * no more. `decide` is pure, and may be asked again.
   */
  say<T>(
    saying: Saying,
    decide: (snapshot: SayingSnapshot) => SayingVerdict<T>,
  ): Promise<{ readonly kind: 'kept' } | { readonly kind: 'stopped'; readonly value: T }>
}

export type ApproveDeps = Pick<
  CustodyDeps,
  'policies' | 'verify' | 'report' | 'audience' | 'store'
> & { readonly approvals: ApprovalStore }

export type SayResult =
  | { readonly kind: 'kept' }
  | { readonly kind: 'not-found' }
  /** Not a statement, or not one that its evidence proves. */
  | { readonly kind: 'malformed'; readonly message: string }
  /** Genuine, and it counts for nothing here. */
  | { readonly kind: 'void'; readonly message: string }
  | { readonly kind: 'conflict'; readonly state: RequestState }
  | Busy

/** An officer approves or rejects a request, by a statement that is kept verbatim and verified again. */
export type Say = (input: {
  readonly requestId: string
  /** Who is at the door; nobody brings the statement of another. */
  readonly officer: string
  readonly decision: 'approve' | 'reject'
  readonly raw: RawApproval
}) => Promise<SayResult>

export function createSay(deps: ApproveDeps): Say {
  return async (input) => await orBusy(async () => await say(deps, input))
}

async function say(deps: ApproveDeps, input: Parameters<Say>[0]): Promise<SayResult> {
  const found = await deps.approvals.find(input.requestId)
  if (found === null) return { kind: 'not-found' }
  const approval = await verifiedOr(deps, input.raw)
  if ('malformed' in approval) return { kind: 'malformed', message: approval.malformed }
  const { person, decision } = approval.statement
  if (person !== input.officer) return { kind: 'malformed', message: 'it is of another officer' }
  if (decision !== input.decision) return { kind: 'malformed', message: `it says ${decision}` }
  const { prev } = found.request
  const previous = prev === null ? null : await deps.store.findOperation(prev)
  const asked = askedCaseOf({ ...deps, found, previous })
  if (asked === null) return { kind: 'conflict', state: found.request.state }
  return await keep(deps, { found, approval, asked, verified: new Map() })
}

async function verifiedOr({ policies, verify }: ApproveDeps, raw: RawApproval) {
  const rosters = policies.roster === null ? [] : [policies.roster]
  try {
    return await verifyApproval({ raw, rosters, verify })
  } catch (error) {
    if (error instanceof ApprovalError) return { malformed: error.message }
    throw error
  }
}

type Case = {
  readonly found: AskedRequest
  readonly approval: VerifiedApproval
  readonly asked: AskedCase
  readonly verified: Verified
}

type Stop = SayResult | { readonly kind: 'verify'; readonly said: readonly RawApproval[] }

async function keep(deps: ApproveDeps, given: Case): Promise<SayResult> {
  const { found, approval, verified } = given
  const outcome = await deps.approvals.say<Stop>({ found, approval }, (snapshot) =>
    decide(deps, given, snapshot),
  )
  if (outcome.kind === 'kept') {
    reportSaid(deps, given)
    return outcome
  }
  const { value } = outcome
  if (value.kind !== 'verify') return value
  // Another officer spoke meanwhile.
  return await keep(deps, { ...given, verified: await verifyAll(deps, { verified }, value.said) })
}

function reportSaid(deps: ApproveDeps, { found, approval, asked }: Case): void {
  const { decision, person } = approval.statement
  const kind = decision === 'approve' ? 'approved' : 'rejected'
  const requestId = found.request.id
  reportAlarmedStep(deps, { requestId, decision: asked.decision, step: { kind, by: person } })
}

function decide(
  deps: ApproveDeps,
  { approval, asked, verified }: Case,
  snapshot: SayingSnapshot,
): SayingVerdict<Stop> {
  const stop = (value: Stop): SayingVerdict<Stop> => ({ kind: 'stop', value })
  const { state } = snapshot
  if (snapshot.clocksApart > MAX_CLOCKS_APART_MS) {
    deps.report({ kind: 'clocks-apart', milliseconds: snapshot.clocksApart })
    return stop({ kind: 'busy', requestId: null, message: 'the clocks here disagree' })
  }
  if (state !== 'proposed' && state !== 'approved') return stop({ kind: 'conflict', state })
  if (snapshot.nonceUsed) return stop({ kind: 'void', message: 'its nonce was used before' })
  const unknown = snapshot.asked.said.filter((raw) => !verified.has(rawKey(raw)))
  if (unknown.length > 0) return stop({ kind: 'verify', said: unknown })
  const said = snapshot.asked.said.flatMap((raw) => verified.get(rawKey(raw)) ?? [])
  const weighed = (approvals: readonly VerifiedApproval[]): Weighed =>
    weigh({
      matter: asked.matter,
      requirements: asked.decision.requirements,
      approvals,
      roster: deps.policies.roster,
      callers: deps.policies.callers,
      clocks: { instance: snapshot.instanceNow, database: snapshot.now },
    })
  const alone = weighed([approval])
  const problem = whyNot(approval, alone)
  if (problem !== null) return stop({ kind: 'void', message: problem })
  return { kind: 'write', to: stateAfter(weighed([...said, approval])) }
}

function whyNot({ statement }: VerifiedApproval, alone: Weighed): string | null {
  if (statement.decision === 'reject') {
    return alone.kind === 'rejected' ? null : 'it is about something else, or not by an officer'
  }
  if (alone.kind === 'expired' && alone.expiry === 'approveBy') return 'it is too late to approve'
  return alone.voids[0]?.reason ?? null
}

/** For finding it: whoever signs judges what was said, and not this. */
function stateAfter({ kind }: Weighed): 'approved' | 'rejected' | null {
  switch (kind) {
    case 'met':
    case 'delayed':
      return 'approved'
    case 'rejected':
      return 'rejected'
    case 'waiting':
    case 'expired':
      return null
  }
}
