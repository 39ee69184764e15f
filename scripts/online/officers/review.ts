import { requestView } from '../../../src/api/request.ts'
import type { ApprovalView, RequestView } from '../../../src/api/request.ts'
import { displayDigest, parseRequester, requesterText } from '../../../src/approval/matter.ts'
import type { Matter } from '../../../src/approval/matter.ts'
import { matterOf } from '../../../src/approval/operation-matter.ts'
import { requestDigest, signingBytes } from '../../../src/plc/encode.ts'
import type { VerifiedLog } from '../../../src/plc/log.ts'
import { operationData, parseUnsignedOperation } from '../../../src/plc/operation.ts'
import type { UnsignedOperation } from '../../../src/plc/operation.ts'
import { renderOperation } from '../../../src/plc/render.ts'
import { escapeText, quoteText } from '../../../src/plc/text.ts'
import { evaluate, limitedRules } from '../../../src/policy/evaluate.ts'
import type { Decision } from '../../../src/policy/evaluate.ts'
import type { Facts, PreviousOperation } from '../../../src/policy/facts.ts'
import type { KeyConfig, PolicySet } from '../../../src/policy/policy-set.ts'
import { quorumText } from '../../../src/policy/quorum.ts'
import type { Roster } from '../../../src/policy/roster.ts'
import { digestWords } from '../../../src/words/words.ts'
import { Refusal } from '../../offline/command.ts'

/** What an officer's own machine knows by itself. */
export type OwnGrounds = {
  /** The reviewed files, in a copy of the officer's own. */
  readonly policies: PolicySet
  /** The identity's log, from the directory and verified. */
  readonly log: VerifiedLog
  /** The origin by which the service is known. */
  readonly audience: string
  readonly now: Date
}

export type AskedView = RequestView & { readonly approval: ApprovalView }
type RequireDecision = Decision & { readonly kind: 'require' }

/** A request as this machine computed it, from bytes; the service has said the same in every field. */
export type Review = {
  readonly matter: Matter
  readonly decision: RequireDecision
  readonly facts: Facts
  readonly roster: Roster
}

/** The service's clock may be ahead of this one by so much, in seconds. */
const CLOCK_TOLERANCE = 60
const WORDS = 8

/** A service's answer, as far as its shape goes. @throws Refusal naming the field */
export function parseAskedView(answer: unknown): AskedView {
  const parsed = requestView.safeParse(answer)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw new Refusal(
      `the service's answer: ${issue?.path.join('.') || 'it'} is not what it must be`,
    )
  }
  const { approval } = parsed.data
  if (approval !== null) return { ...parsed.data, approval }
  throw new Refusal(
    `request ${parsed.data.id} is ${parsed.data.state}: officers are not asked about it`,
  )
}

/**
 * Computes all of a request from its bytes, the directory's log and the officer's own policy files, and
 * compares it with what the service says.
 * @throws Refusal naming each field that differs
 */
export function reviewRequest(view: AskedView, own: OwnGrounds): Review {
  const { operation, key, previous } = subjectOf(view, own)
  const subject = { caller: view.caller, key, operation, previous }
  const { facts, decision } = judge(view, subject, own.policies)
  const matter = matterOf({
    subject,
    bytes: signingBytes(operation),
    decision,
    policies: own.policies,
    audience: own.audience,
    requester: requesterOf(view),
    proposedAt: proposedAtOf(view, decision, own.now),
  })
  const roster = rosterOf(own.policies)
  const review = { matter, decision, facts, roster }
  requireSame(view, computedView(review))
  return review
}

function subjectOf(view: AskedView, { policies, log }: OwnGrounds) {
  const operation = operationOf(view)
  const key = policies.keys.find(({ id }) => id === view.key)
  if (key === undefined) throw new Refusal(`key: your keys.yaml has no ${quoteText(view.key)}`)
  const previous = previousOf(log, view.caller, key)
  if (operation.prev !== log.head.cid) {
    throw new Refusal(
      `prev: the operation follows ${quoteText(operation.prev ?? 'nothing')}, but the head of ${log.did} in the directory is ${log.head.cid}`,
    )
  }
  if (log.data?.rotationKeys.includes(key.did) !== true) {
    throw new Refusal(`approval.keyDid: ${key.did} is no rotation key of ${log.did}`)
  }
  return { operation, key, previous }
}

/** @throws Refusal */
export function operationOf({ operation }: AskedView): UnsignedOperation {
  try {
    return parseUnsignedOperation(operation)
  } catch (cause) {
    throw new Refusal('operation: is no PLC operation that could be signed', { cause })
  }
}

function previousOf({ did, head }: VerifiedLog, owner: string, key: KeyConfig): PreviousOperation {
  const { cid, operation, createdAt } = head
  const ours = operationData(operation)?.rotationKeys.includes(key.did) === true
  return { did, cid, operation, owner, nullified: false, recordedAt: createdAt, ours }
}

/** Limits say when, not whether: they are the service's to count. */
function judge(view: AskedView, subject: Parameters<typeof limitedRules>[0], policies: PolicySet) {
  const none = Object.fromEntries(limitedRules(subject, policies).map(({ id }) => [id, 0]))
  const { facts, decision } = evaluate({
    subject,
    policies,
    circumstances: {
      now: new Date(view.createdAt),
      observedHead: subject.operation.prev,
      operationCounts: { hour: 0, day: 0, week: 0 },
      ruleCounts: none,
      didRuleCounts: none,
    },
  })
  if (decision.kind === 'require') return { facts, decision }
  const why =
    decision.kind === 'allow'
      ? `allow it by ${decision.rules.join(', ')}, without officers`
      : `deny it by ${decision.findings.map(({ rule }) => rule).join(', ')}`
  throw new Refusal(`decision: your policy files ${why}`)
}

function requesterOf({ approval, caller }: AskedView) {
  const requester = parseRequester(approval.requester)
  if (requester?.kind === 'person' || (requester?.kind === 'caller' && requester.name === caller)) {
    return requester
  }
  throw new Refusal(
    `approval.requester: ${quoteText(approval.requester)} cannot have asked for this`,
  )
}

/** When it was asked for follows from until when it may be approved; it was not in the future. */
function proposedAtOf({ approval }: AskedView, decision: RequireDecision, now: Date): Date {
  const allowed = Math.min(...decision.requirements.map(({ approveBy }) => approveBy))
  const start = approval.approveBy - allowed
  if (start <= Math.floor(now.getTime() / 1000) + CLOCK_TOLERANCE) return new Date(start * 1000)
  throw new Refusal(`approval.approveBy: is later than the rule allows (${allowed} s)`)
}

function rosterOf({ roster }: PolicySet): Roster {
  if (roster !== null) return roster
  throw new Refusal('approval.roster: your policy files have no roster.yaml')
}

/** What the service must have said, field by field, by the names of its own answer. */
function computedView({ matter, decision, facts, roster }: Review): Record<string, unknown> {
  const { operation, previous, before } = facts
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
  return {
    digest: hex(requestDigest(signingBytes(operation))),
    class: facts.operationClass,
    did: previous?.did ?? null,
    prev: operation.prev,
    'approval.policy.digest': hex(matter.policy.digest),
    'approval.policy.rules': matter.policy.rules,
    'approval.roster.epoch': roster.epoch,
    'approval.roster.digest': hex(roster.digest),
    'approval.env': matter.env,
    'approval.audience': matter.audience,
    'approval.requester': requesterText(matter.requester),
    'approval.keyDid': matter.key,
    'approval.head': matter.head,
    'approval.nullifies': matter.nullifies,
    'approval.approveBy': matter.terms.approveBy,
    'approval.executeBy': matter.terms.executeBy,
    'approval.delay': matter.terms.delay,
    'approval.within': matter.terms.within,
    rules: decision.rules,
    decision: decision.requirements
      .map(({ rule, quorum }) => `${rule}: needs ${quorumText(quorum)}`)
      .join('\n'),
    rendering: renderOperation({ operation, previous: before }),
    'approval.display': matter.display,
    'approval.words': displayWords(matter).join(' '),
  }
}

function requireSame(view: AskedView, computed: Record<string, unknown>): void {
  const differences = Object.entries(computed).flatMap(([field, own]) => {
    const said = fieldOf(view, field)
    if (JSON.stringify(said) === JSON.stringify(own)) return []
    return [`  ${field}${differenceText(said, own)}`]
  })
  if (differences.length === 0) return
  throw new Refusal(
    [
      'the service says something else than the bytes, the directory and your policy files:',
      ...differences,
      ...(differences.some((line) => line.includes('policy.digest') || line.includes('roster.'))
        ? ['are your policy files those in force?']
        : []),
    ].join('\n'),
  )
}

function fieldOf(view: AskedView, field: string): unknown {
  const parts = field.split('.')
  return parts.reduce<unknown>((value, part) => (value as Record<string, unknown>)[part], view)
}

/** Of two long texts the first line that differs. */
function differenceText(said: unknown, own: unknown): string {
  if (typeof said !== 'string' || typeof own !== 'string' || !own.includes('\n')) {
    return `: the service says ${shown(said)}, computed here is ${shown(own)}`
  }
  const [theirs, ours] = [said.split('\n'), own.split('\n')]
  const length = Math.max(theirs.length, ours.length)
  const at = Array.from({ length }, (_, line) => line).find((line) => theirs[line] !== ours[line])
  const line = (lines: readonly string[]) => shown(lines[at ?? 0] ?? 'nothing')
  return `, line ${(at ?? 0) + 1}: the service says ${line(theirs)}, computed here is ${line(ours)}`
}

const shown = (value: unknown) =>
  typeof value === 'string' ? quoteText(value) : escapeText(JSON.stringify(value))

/** The words that two people compare; the digest is in every statement about this. */
export function displayWords({ display }: Pick<Matter, 'display'>): string[] {
  return digestWords(displayDigest(display), WORDS)
}
