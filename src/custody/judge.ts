import { authorize } from '../approval/authorize.ts'
import type { Standing } from '../audit/entry.ts'
import type { Agreement } from '../approval/authorize.ts'
import type { RawApproval } from '../approval/evidence.ts'
import { encodeSignedOperation } from '../plc/encode.ts'
import type { Finding } from '../policy/finding.ts'
import { operationData } from '../plc/operation.ts'
import { evaluate } from '../policy/evaluate.ts'
import type { Decision } from '../policy/evaluate.ts'
import type { Circumstances, Facts, PreviousOperation, Subject } from '../policy/facts.ts'
import { judgeQuorum } from './judge-quorum.ts'
import type { ClaimSnapshot, Judged, StoredRequest, Verdict } from './ports.ts'
import { MAX_CLOCKS_APART_MS, leaseLives } from './request.ts'
import type { Question } from './question.ts'
import { judgeRivals } from './rivals.ts'

/** Why a claim stopped without writing anything. */
export type Stop =
  | { readonly kind: 'recorded'; readonly request: StoredRequest }
  /** Asked to propose what is proposed, or even being signed, already. */
  | { readonly kind: 'proposed'; readonly request: StoredRequest }
  | { readonly kind: 'denied'; readonly request: StoredRequest }
  | { readonly kind: 'busy'; readonly request: StoredRequest }
  /** Officers have to agree first. */
  | { readonly kind: 'waiting'; readonly request: StoredRequest; readonly message: string }
  | { readonly kind: 'rejected'; readonly request: StoredRequest }
  /** Denied, and not worth a request. */
  | { readonly kind: 'refused'; readonly finding: Finding }
  | { readonly kind: 'clocks-apart'; readonly milliseconds: number }
  | { readonly kind: 'read-directory'; readonly did: string; readonly begunAt: Date }
  | { readonly kind: 'verify'; readonly said: readonly RawApproval[] }

/**
 * What becomes of one call, from what the claim's lock holds still. Pure: the same question and
 * snapshot give the same verdict on any instance and at any later audit.
 */
export function judge(question: Question, snapshot: ClaimSnapshot): Verdict<Stop> {
  const replaced = snapshot.same.find(wasReplaced)
  const standing = snapshot.same.find(isOpen) ?? snapshot.same.find(countsStill)
  if (standing !== undefined && isSigned(standing)) {
    return stop({ kind: 'recorded', request: standing })
  }
  if (snapshot.clocksApart > MAX_CLOCKS_APART_MS) {
    return stop({ kind: 'clocks-apart', milliseconds: snapshot.clocksApart })
  }
  // Their no is the end of it, for programs: the same change is proposed anew by a person, or never.
  if (standing?.state === 'rejected' && question.requester.kind === 'caller') {
    return stop({ kind: 'rejected', request: standing })
  }
  const waiting = standing !== undefined && isOpen(standing) ? standing : null
  const asked = snapshot.asked.some(({ requestId }) => requestId === waiting?.id)
  if (
    question.purpose === 'propose' &&
    waiting !== null &&
    !(asked && waiting.state !== 'signing')
  ) {
    return stop({ kind: 'proposed', request: waiting })
  }
  if (waiting !== null && leaseLives(waiting, snapshot.now)) {
    return stop({ kind: 'busy', request: waiting })
  }
  const latest = snapshot.same.find(countsStill)
  return judgeAnew(question, snapshot, { replaced, latest, waiting })
}

type Found = {
  readonly replaced: StoredRequest | undefined
  readonly latest: StoredRequest | undefined
  readonly waiting: StoredRequest | null
}

function judgeAnew(
  question: Question,
  snapshot: ClaimSnapshot,
  { replaced, latest, waiting }: Found,
): Verdict<Stop> {
  const circumstances: Circumstances = {
    now: snapshot.now,
    observedHead: question.observed?.head ?? null,
    operationCounts: snapshot.operationCounts,
    ruleCounts: snapshot.ruleCounts,
    didRuleCounts: snapshot.didRuleCounts,
  }
  const { facts, decision } = evaluate({ ...question, circumstances })
  if (decision.kind === 'deny') return deny({ question, facts, decision, latest })

  const rivals = judgeRivals(snapshot, replaced, question.observed)
  if (rivals.kind === 'deny') {
    return deny({
      question,
      facts,
      decision: { kind: 'deny', findings: [rivals.finding] },
      latest,
    })
  }
  const { previous } = question.subject
  const unread =
    question.observed === null && (decision.kind === 'require' || couldNullify(question.subject))
  if (previous !== null && (rivals.mustRead || unread)) {
    return stop({ kind: 'read-directory', did: previous.did, begunAt: snapshot.now })
  }
  const judgement = judged(question, facts, decision)
  const { supersedes } = rivals
  if (decision.kind === 'require') {
    return askOfficers(question, snapshot, { decision, judgement, waiting, supersedes })
  }
  if (question.purpose === 'propose') {
    const requestId = question.requestId
    return { kind: 'propose', judged: judgement, requestId, asks: null, ends: [] }
  }
  return claim(question, { decision, judgement, waiting, supersedes })
}

type Grounds<D extends Decision> = {
  readonly decision: D
  readonly judgement: Judged
  readonly waiting: StoredRequest | null
  readonly supersedes: readonly StoredRequest[]
}

function askOfficers(
  question: Question,
  snapshot: ClaimSnapshot,
  grounds: Grounds<Decision & { kind: 'require' }>,
): Verdict<Stop> {
  const { decision, judgement, waiting } = grounds
  const verdict = judgeQuorum({ question, snapshot, decision, waiting })
  switch (verdict.kind) {
    case 'agreed':
      if (question.purpose === 'propose') {
        return stop({ kind: 'proposed', request: verdict.request })
      }
      return claim(question, grounds, verdict.agreement)
    case 'waiting':
    case 'rejected':
    case 'verify':
      return stop(verdict)
    case 'refuse':
      return stop({ kind: 'refused', finding: verdict.finding })
    case 'ask':
      return {
        kind: 'propose',
        judged: judgement,
        requestId: question.requestId,
        asks: { requester: question.requester, roster: verdict.roster },
        ends: verdict.ends,
      }
  }
}

function claim(
  { requestId, bytes, subject, audience }: Question,
  { decision, judgement, waiting, supersedes }: Grounds<Decision>,
  agreement?: Agreement,
): Verdict<Stop> {
  return {
    kind: 'claim',
    judged: judgement,
    authorized: authorize({
      decision,
      requestId: waiting?.id ?? requestId,
      bytes,
      key: subject.key,
      ...(agreement === undefined ? {} : { agreement }),
    }),
    reclaims: waiting,
    supersedes,
    agreement:
      agreement === undefined || agreement.roster === null
        ? null
        : { audience, roster: agreement.roster.digest },
  }
}

/** Somebody is at it, or is waited for. */
function isOpen({ state }: StoredRequest): boolean {
  return state === 'proposed' || state === 'approved' || state === 'signing'
}

/** Its signature is on record and in force: the same bytes get it again. */
function isSigned({ state }: StoredRequest): boolean {
  return state === 'returned' || state === 'submitted' || state === 'confirmed'
}

/** A signature that was replaced bars its bytes for good, whatever was asked and denied since. */
function wasReplaced(request: StoredRequest): boolean {
  return request.state === 'superseded' && request.signature !== null
}

/** An earlier request that failed, or ended without a signature, says nothing about a new one. */
function countsStill(request: StoredRequest): boolean {
  switch (request.state) {
    case 'failed':
    case 'expired':
    case 'cancelled':
    case 'superseded':
      return false
    case 'proposed':
    case 'approved':
    case 'signing':
    case 'signed':
    case 'returned':
    case 'submitted':
    case 'confirmed':
    case 'denied':
    case 'rejected':
      return true
  }
}

/**
 * Under our key a stale `prev` can nullify only what a key *below* ours signed (R4). With our key
 * last, the directory itself refuses a stale one, and no read is spent.
 */
function couldNullify({ previous, key }: Subject): boolean {
  const list = previous === null ? [] : (operationData(previous.operation)?.rotationKeys ?? [])
  return list.indexOf(key.did) !== list.length - 1
}

function deny(input: {
  question: Question
  facts: Facts
  decision: Decision & { kind: 'deny' }
  latest: StoredRequest | undefined
}): Verdict<Stop> {
  const { question, facts, decision, latest } = input
  const told = whatTheCallerIsTold(facts, decision)
  // A retry of what was denied for the same reason adds nothing to the record.
  if (latest?.state === 'denied' && sameFinding(latest.decision, told.decision)) {
    return stop({ kind: 'denied', request: latest })
  }
  return { kind: 'deny', judged: judged(question, facts, decision), told }
}

/** For any other caller, an identity in care is unknown: the answer must not tell them apart. */
function whatTheCallerIsTold(facts: Facts, decision: Decision & { kind: 'deny' }) {
  if (!decision.findings.some((finding) => finding.rule === 'DID-OF-CALLER')) {
    return { did: facts.previous?.did ?? null, class: facts.operationClass, decision }
  }
  const asUnknown = evaluate({ ...facts, subject: { ...facts, previous: null } })
  return { did: null, class: asUnknown.facts.operationClass, decision: asUnknown.decision }
}

function sameFinding(left: Decision, right: Decision): boolean {
  if (left.kind !== 'deny' || right.kind !== 'deny') return false
  const text = ({ rule, message }: Finding) => `${rule} ${message}`
  return text(left.findings[0]) === text(right.findings[0])
}

function judged(
  { subject, bytes, digest, policies, requester }: Question,
  facts: Facts,
  decision: Decision,
): Judged {
  const { previous, key } = subject
  return {
    caller: subject.caller,
    officer: requester.kind === 'person' ? requester.id : null,
    key: key.id,
    keyDid: key.did,
    digest,
    unsigned: bytes,
    previous: previous === null ? null : encodeSignedOperation(previous.operation),
    standing: previous === null ? null : standingOf(previous),
    did: previous?.did ?? null,
    class: facts.operationClass,
    changes: facts.changeKinds,
    policy: policies.digest,
    decision,
    operationCounts: facts.circumstances.operationCounts,
    ruleCounts: facts.circumstances.ruleCounts,
    didRuleCounts: facts.circumstances.didRuleCounts,
    observedHead: facts.circumstances.observedHead,
  }
}

function standingOf({ owner, nullified, ours, recordedAt }: PreviousOperation): Standing {
  return { owner, nullified, ours, recordedAt: recordedAt.getTime() }
}

const stop = (value: Stop): Verdict<Stop> => ({ kind: 'stop', value })
