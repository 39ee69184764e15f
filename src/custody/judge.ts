import { authorize } from '../approval/authorize.ts'
import type { Standing } from '../audit/entry.ts'
import type { SigningBytes } from '../plc/encode.ts'
import { encodeSignedOperation } from '../plc/encode.ts'
import type { Finding } from '../policy/finding.ts'
import { operationData } from '../plc/operation.ts'
import { evaluate } from '../policy/evaluate.ts'
import type { Decision } from '../policy/evaluate.ts'
import type { Circumstances, Facts, PreviousOperation, Subject } from '../policy/facts.ts'
import type { PolicySet } from '../policy/policy-set.ts'
import type { ClaimSnapshot, Judged, Observation, StoredRequest, Verdict } from './ports.ts'
import { leaseLives } from './request.ts'
import { judgeRivals } from './rivals.ts'

export type Question = {
  readonly subject: Subject
  readonly bytes: SigningBytes
  readonly digest: Uint8Array
  readonly policies: PolicySet
  /** null: the directory has not been read in this call. */
  readonly observed: Observation | null
  /** To use the key now, or to keep the request until somebody asks for that. */
  readonly purpose: 'sign' | 'propose'
  /** For a new request; a taken-over one keeps its own. */
  readonly requestId: string
}

/** Why a claim stopped without writing anything. */
export type Stop =
  | { readonly kind: 'recorded'; readonly request: StoredRequest }
  /** Asked to propose what is proposed, or even being signed, already. */
  | { readonly kind: 'proposed'; readonly request: StoredRequest }
  | { readonly kind: 'denied'; readonly request: StoredRequest }
  | { readonly kind: 'busy'; readonly request: StoredRequest }
  | { readonly kind: 'read-directory'; readonly did: string; readonly begunAt: Date }

/**
 * What becomes of one call, from what the claim's lock holds still. Pure: the same question and
 * snapshot give the same verdict on any instance and at any later audit.
 */
export function judge(question: Question, snapshot: ClaimSnapshot): Verdict<Stop> {
  const replaced = snapshot.same.find(wasReplaced)
  const standing = snapshot.same.find(countsStill)
  if (standing !== undefined && isSigned(standing)) {
    return stop({ kind: 'recorded', request: standing })
  }
  const waiting = standing?.state === 'approved' || standing?.state === 'signing' ? standing : null
  if (waiting !== null && question.purpose === 'propose') {
    return stop({ kind: 'proposed', request: waiting })
  }
  if (waiting !== null && leaseLives(waiting, snapshot.now)) {
    return stop({ kind: 'busy', request: waiting })
  }
  const circumstances: Circumstances = {
    now: snapshot.now,
    observedHead: question.observed?.head ?? null,
    operationCounts: snapshot.operationCounts,
    ruleCounts: snapshot.ruleCounts,
    didRuleCounts: snapshot.didRuleCounts,
  }
  const { facts, decision } = evaluate({ ...question, circumstances })
  if (decision.kind === 'deny') return deny({ question, facts, decision, standing })
  if (decision.kind === 'require') {
    return deny({ question, facts, decision: notYet(decision), standing })
  }

  const rivals = judgeRivals(snapshot, replaced, question.observed)
  if (rivals.kind === 'deny') {
    return deny({
      question,
      facts,
      decision: { kind: 'deny', findings: [rivals.finding] },
      standing,
    })
  }
  const { previous } = question.subject
  if (
    previous !== null &&
    (rivals.mustRead || (question.observed === null && couldNullify(question.subject)))
  ) {
    return stop({ kind: 'read-directory', did: previous.did, begunAt: snapshot.now })
  }
  const judgement = judged(question, facts, decision)
  if (question.purpose === 'propose') {
    return { kind: 'propose', judged: judgement, requestId: question.requestId }
  }
  const requestId = waiting?.id ?? question.requestId
  return {
    kind: 'claim',
    judged: judgement,
    authorized: authorize({
      decision,
      requestId,
      bytes: question.bytes,
      key: question.subject.key,
    }),
    reclaims: waiting,
    supersedes: rivals.supersedes,
  }
}

/** Nobody can approve here yet, so what needs approval is not signed. */
function notYet({ requirements }: Decision & { kind: 'require' }): Decision & { kind: 'deny' } {
  const [{ rule, quorum }] = requirements
  const message = `this needs the approval of ${quorum.id}, and approvals are not taken yet`
  return { kind: 'deny', findings: [{ rule, message }] }
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
  standing: StoredRequest | undefined
}): Verdict<Stop> {
  const { question, facts, decision, standing } = input
  const told = whatTheCallerIsTold(facts, decision)
  // A retry of what was denied for the same reason adds nothing to the record.
  if (standing?.state === 'denied' && sameFinding(standing.decision, told.decision)) {
    return stop({ kind: 'denied', request: standing })
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
  { subject, bytes, digest, policies }: Question,
  facts: Facts,
  decision: Decision,
): Judged {
  const { previous, key } = subject
  return {
    caller: subject.caller,
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
