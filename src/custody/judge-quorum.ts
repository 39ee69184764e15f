import { lackingText } from '../approval/quorum.ts'
import type { RawApproval } from '../approval/evidence.ts'
import { weigh } from '../approval/weigh.ts'
import type { WeighInput, Weighed } from '../approval/weigh.ts'
import type { Decision } from '../policy/evaluate.ts'
import type { Finding } from '../policy/finding.ts'
import { matterOf } from '../approval/operation-matter.ts'
import type { Asked, ClaimSnapshot, Ending, StoredRequest } from './ports.ts'
import type { Question } from './question.ts'
import { MAX_OPEN_OF_CALLER } from './request.ts'

type RequireDecision = Decision & { readonly kind: 'require' }

export type QuorumVerdict =
  /** Officers agree: it may be signed now, on these grounds. */
  | {
      readonly kind: 'agreed'
      readonly request: StoredRequest
      readonly agreement: Omit<WeighInput, 'requirements'>
    }
  | { readonly kind: 'waiting'; readonly request: StoredRequest; readonly message: string }
  | { readonly kind: 'rejected'; readonly request: StoredRequest }
  /** Nobody here has verified these yet. */
  | { readonly kind: 'verify'; readonly said: readonly RawApproval[] }
  /** Officers are asked anew. */
  | { readonly kind: 'ask'; readonly roster: Uint8Array; readonly ends: readonly Ending[] }
  /** Not even asked; nothing is written. */
  | { readonly kind: 'refuse'; readonly finding: Finding }

/**
 * What a decision that needs officers comes to. What is `waiting` was asked under some policy and some
 * officers: under others it ends, and they are asked anew.
 */
export function judgeQuorum(input: {
  readonly question: Question
  readonly snapshot: ClaimSnapshot
  readonly decision: RequireDecision
  readonly waiting: StoredRequest | null
}): QuorumVerdict {
  const { question, snapshot, decision, waiting } = input
  const asked = snapshot.asked.find(({ requestId }) => requestId === waiting?.id)
  if (waiting === null) return askAnew(question, snapshot, [])
  if (asked === undefined || !isAskedOfToday(waiting, asked, question)) {
    return askAnew(question, snapshot, [{ request: waiting, to: 'superseded' }])
  }
  const unknown = asked.said.filter((raw) => !question.verified.has(rawKey(raw)))
  if (unknown.length > 0) return { kind: 'verify', said: unknown }
  const agreement = agreementOf(question, snapshot, { decision, asked })
  const weighed = weigh({ ...agreement, requirements: decision.requirements })
  switch (weighed.kind) {
    case 'met':
      return { kind: 'agreed', request: waiting, agreement }
    case 'rejected':
      return { kind: 'rejected', request: waiting }
    case 'waiting':
    case 'delayed':
      return { kind: 'waiting', request: waiting, message: waitingText(decision, weighed) }
    case 'expired':
      return askAnew(question, snapshot, [{ request: waiting, to: 'expired' }])
  }
}

function isAskedOfToday(waiting: StoredRequest, asked: Asked, { policies }: Question): boolean {
  const { roster } = policies
  return (
    Buffer.compare(waiting.policy, policies.digest) === 0 &&
    roster !== null &&
    Buffer.compare(asked.roster, roster.digest) === 0
  )
}

function agreementOf(
  question: Question,
  snapshot: ClaimSnapshot,
  { decision, asked }: { decision: RequireDecision; asked: Asked },
): Omit<WeighInput, 'requirements'> {
  const { requester, proposedAt } = asked
  const approvals = asked.said.flatMap((raw) => question.verified.get(rawKey(raw)) ?? [])
  return {
    matter: matterOf({ ...question, decision, requester, proposedAt }),
    approvals,
    roster: question.policies.roster,
    callers: question.policies.callers,
    clocks: { instance: snapshot.instanceNow, database: snapshot.now },
  }
}

/**
 * A stolen credential may ask as often as it likes. So officers have one request for each identity and
 * caller before them, and twenty of a caller; and what one of them has looked at is not taken away.
 */
function askAnew(
  question: Question,
  snapshot: ClaimSnapshot,
  ends: readonly Ending[],
): QuorumVerdict {
  const { roster } = question.policies
  // No roster, no officers: a policy that asks for them cannot be satisfied.
  if (roster === null) return refuse('DID-ONE-OPEN-REQUEST', 'there are no officers to ask')
  const rivals = snapshot.open.filter(({ id }) => snapshot.asked.some((of) => of.requestId === id))
  const kept = rivals.find((rival) => !mayBeSuperseded(rival, snapshot, question))
  if (kept !== undefined) {
    return refuse(
      'DID-ONE-OPEN-REQUEST',
      `another request about this identity is before the officers (request ${kept.id})`,
    )
  }
  const ending = [...ends, ...rivals.map((request) => ({ request, to: 'superseded' as const }))]
  const left = ending.filter(({ request }) => request.state === 'proposed').length
  if (snapshot.openOfCaller - left >= MAX_OPEN_OF_CALLER) {
    return refuse(
      'POLICY-OPEN-REQUESTS',
      `${MAX_OPEN_OF_CALLER} requests of this caller wait for officers already`,
    )
  }
  return { kind: 'ask', roster: roster.digest, ends: ending }
}

function mayBeSuperseded(
  rival: StoredRequest,
  { asked }: ClaimSnapshot,
  { requester }: Question,
): boolean {
  const of = asked.find(({ requestId }) => requestId === rival.id)
  const ofPerson = of?.requester.kind === 'person' && requester.kind === 'caller'
  return rival.state === 'proposed' && of?.said.length === 0 && !ofPerson
}

function waitingText(
  { rules }: RequireDecision,
  weighed: Weighed & { readonly kind: 'waiting' | 'delayed' },
): string {
  const rule = rules.join(', ')
  if (weighed.kind === 'waiting') {
    return `approval required by ${rule}: ${weighed.missing.map(lackingText).join('; ')}`
  }
  const until = new Date(weighed.until * 1000).toISOString()
  return `approved under ${rule}, and signed from ${until} on`
}

/** Before anybody has said anything. */
export function askedText({ requirements }: RequireDecision): string {
  const groups = requirements.map(({ rule, quorum }) => `${rule} (${quorum.id})`)
  return `approval required by ${groups.join(', ')}`
}

function refuse(rule: string, message: string): QuorumVerdict {
  return { kind: 'refuse', finding: { rule, message } }
}

/** Verified once, known by all its bytes. */
export function rawKey({ statement, evidence }: RawApproval): string {
  return `${Buffer.from(statement).toString('base64')}.${Buffer.from(evidence).toString('base64')}`
}
