import { randomUUID } from 'node:crypto'
import { ApprovalError } from '../approval/error.ts'
import type { RawApproval } from '../approval/evidence.ts'
import { verifyApproval } from '../approval/verify.ts'
import { requesterText } from '../approval/matter.ts'
import type { Requester } from '../approval/matter.ts'
import { DirectoryError } from '../directory/directory.ts'
import type { PlcDirectory } from '../directory/directory.ts'
import { decodeUnsignedOperation, requestDigest } from '../plc/encode.ts'
import type { SigningBytes } from '../plc/encode.ts'
import { PlcError } from '../plc/error.ts'
import type { UnsignedOperation } from '../plc/operation.ts'
import type { EcdsaVerify } from '../plc/signature.ts'
import { alarmRules, limitedRules } from '../policy/evaluate.ts'
import type { Decision } from '../policy/evaluate.ts'
import type { PreviousOperation } from '../policy/facts.ts'
import type { KeyConfig, PolicySet } from '../policy/policy-set.ts'
import type { CommittedIntent, Signer } from '../signer/signer.ts'
import type { AlarmedStep, CustodyEvent } from './events.ts'
import type { FindIdentity } from './find-identity.ts'
import { askedText, rawKey } from './judge-quorum.ts'
import type { Verified } from './question.ts'
import { judge } from './judge.ts'
import type { Stop } from './judge.ts'
import type { Question } from './question.ts'
import { FrozenError, SigningStoppedError, StoreBusyError } from './ports.ts'
import type { ClaimOutcome, Observation, RequestStore, StoredRequest } from './ports.ts'
import { readVerifiedLog } from './read-log.ts'

export type Decode = typeof decodeUnsignedOperation

export type CustodyDeps = {
  readonly store: RequestStore
  readonly directory: PlcDirectory
  readonly verify: EcdsaVerify
  readonly policies: PolicySet
  readonly signers: ReadonlyMap<string, Signer>
  readonly findIdentity: FindIdentity
  /** Waits until a quorum of witnesses has cosigned the intent; false: it has not in time, or there are none. */
  readonly isWitnessed: (intent: CommittedIntent, caller: string) => Promise<boolean>
  readonly report: (event: CustodyEvent) => void
  /** Under which name officers know this service: its public origin. */
  readonly audience: string
  /** In the place of `decodeUnsignedOperation`, for who measures it. */
  readonly decode?: Decode
}

export type Ask = {
  readonly caller: string
  /** A key that the caller may use; the door has looked it up. */
  readonly key: KeyConfig
  /** The message as it came: it must be one canonical unsigned PLC operation. */
  readonly message: Uint8Array
  /** An officer who asks in the caller's place. */
  readonly officer?: string
}

export type Malformed = { readonly kind: 'malformed'; readonly message: string }
export type Denied = {
  readonly kind: 'denied'
  /** null: nothing was kept of it. */
  readonly requestId: string | null
  readonly rule: string
  readonly message: string
}
/** Not now: the same bytes may be asked for again at once. */
export type Busy = {
  readonly kind: 'busy'
  readonly requestId: string | null
  readonly message: string
  /** It is the key that cannot serve this now, and not that another call is at work on it. */
  readonly ofKey?: true
}

/** Officers are asked, and have not agreed yet; or have, and it is too early. */
export type Waiting = {
  readonly kind: 'waiting'
  readonly requestId: string
  readonly message: string
}
/** An officer said no. */
export type Rejected = { readonly kind: 'rejected'; readonly requestId: string }

/** What became of a question, as far as it goes without a key. */
export type Answer =
  | Malformed
  | Denied
  | Busy
  | Waiting
  | Rejected
  | { readonly kind: 'recorded'; readonly request: StoredRequest }
  | { readonly kind: 'proposed'; readonly requestId: string }
  | (ClaimOutcome<never> & { readonly kind: 'claimed'; readonly question: Question })

/**
 * Judges a message and writes what comes of it: a denial, a proposal, or a claim on the key. Reads
 * the directory in between where the judge asks for the head.
 * @throws only on our own failure; the same bytes may then be asked for again
 */
export async function ask(
  deps: CustodyDeps,
  input: Ask,
  purpose: Question['purpose'],
): Promise<Answer> {
  const decoded = decode(input.message, deps.decode ?? decodeUnsignedOperation)
  if ('malformed' in decoded) return { kind: 'malformed', message: decoded.malformed }
  return await orFrozen(async () => {
    const question = await questionOf(deps, { ...input, ...decoded, purpose })
    return 'subject' in question ? await put(deps, question) : question
  })
}

/** A freeze is a denial: whoever asks again at once is told the same. */
async function orFrozen<T>(work: () => Promise<T>): Promise<T | Busy | Denied> {
  try {
    return await orBusy(work)
  } catch (error) {
    if (!(error instanceof FrozenError)) throw error
    return { kind: 'denied', requestId: null, rule: 'FROZEN', message: error.message }
  }
}

/** A store that is overloaded or away is not our failure: the caller asks again. */
export async function orBusy<T>(work: () => Promise<T>): Promise<T | Busy> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof StoreBusyError)) throw error
    if (error instanceof SigningStoppedError) return busy(null, error.message)
    return busy(null, 'the database cannot serve this now; ask again')
  }
}

function decode(message: Uint8Array, decodeOperation: Decode) {
  try {
    return decodeOperation(message)
  } catch (error) {
    if (error instanceof PlcError) return { malformed: error.message }
    throw error
  }
}

async function questionOf(
  deps: CustodyDeps,
  input: {
    caller: string
    key: KeyConfig
    operation: UnsignedOperation
    bytes: SigningBytes
    purpose: Question['purpose']
    officer?: string
  },
): Promise<Question | Busy> {
  const { caller, key, operation, bytes, purpose, officer } = input
  const requester: Requester =
    officer === undefined ? { kind: 'caller', name: caller } : { kind: 'person', id: officer }
  const prior = await priorOf(deps, { caller, operation })
  if (prior.kind === 'busy') return busy(null, prior.message)
  return {
    subject: { caller, key, operation, previous: prior.previous },
    bytes,
    digest: requestDigest(bytes),
    policies: deps.policies,
    purpose,
    observed: prior.observed,
    requestId: randomUUID(),
    requester,
    audience: deps.audience,
    verified: new Map(),
  }
}

type Prior =
  | {
      readonly kind: 'settled'
      readonly previous: PreviousOperation | null
      readonly observed: Observation | null
    }
  | { readonly kind: 'busy'; readonly message: string }

/**
 * What `prev` names; one that is not known here is looked for first. So is another caller's, in vain:
 * neither the answer nor the reads that it costs may tell it from an unknown one.
 */
async function priorOf(
  deps: CustodyDeps,
  { caller, operation }: { caller: string; operation: UnsignedOperation },
): Promise<Prior> {
  const settled = (previous: PreviousOperation | null, observed: Observation | null): Prior => {
    return { kind: 'settled', previous, observed }
  }
  if (operation.prev === null) return settled(null, null)
  const previous = await deps.store.findOperation(operation.prev)
  if (previous?.owner === caller) return settled(previous, null)
  const found = await deps.findIdentity({ caller, operation })
  switch (found.kind) {
    case 'found':
      return settled(found.previous, found.observed)
    case 'none':
      return settled(previous, null)
    case 'busy':
      return found
  }
}

async function put(deps: CustodyDeps, question: Question): Promise<Answer> {
  const outcome = await deps.store.claim(
    { ...question, limited: limitedRules(question.subject, deps.policies) },
    (snapshot) => judge(question, snapshot),
  )
  switch (outcome.kind) {
    case 'denied':
      return denied(outcome.requestId, outcome.decision)
    case 'proposed':
      reportAlarmedStep(deps, {
        ...outcome,
        step: { kind: 'asked', by: requesterText(question.requester) },
      })
      return proposed(question, outcome)
    case 'claimed':
      return { ...outcome, question }
    case 'stopped':
      return await answerStop(deps, question, outcome.value)
  }
}

async function answerStop(deps: CustodyDeps, question: Question, stop: Stop): Promise<Answer> {
  switch (stop.kind) {
    case 'recorded':
      return stop
    case 'proposed':
      return { kind: 'proposed', requestId: stop.request.id }
    case 'denied':
      return denied(stop.request.id, stop.request.decision)
    case 'busy':
      return busy(stop.request.id, 'these bytes are being signed by another call')
    case 'waiting':
      return { kind: 'waiting', requestId: stop.request.id, message: stop.message }
    case 'rejected':
      return { kind: 'rejected', requestId: stop.request.id }
    case 'refused':
      return { kind: 'denied', requestId: null, ...stop.finding }
    case 'clocks-apart':
      deps.report(stop)
      return busy(null, 'the clocks of this instance and of its database disagree; tell operations')
    case 'verify':
      return await put(deps, { ...question, verified: await verifyAll(deps, question, stop.said) })
    case 'read-directory': {
      // One read a call: a rival that appears meanwhile is too young for a second one to help.
      if (question.observed !== null) return busy(null, 'the identity is changing; ask again')
      const observed = await observe(deps, stop)
      if (observed !== null) return await put(deps, { ...question, observed })
      return busy(null, 'the PLC directory cannot be read now, and this operation needs its head')
    }
  }
}

/** Loud where the policy says so. What is on record is in the entries; this is for people, now. */
export function reportAlarmedStep(
  { report }: Pick<CustodyDeps, 'report'>,
  of: { readonly requestId: string; readonly decision: Decision; readonly step: AlarmedStep },
): void {
  const rules = alarmRules(of.decision)
  if (rules.length === 0) return
  report({ kind: 'rule-alarm', requestId: of.requestId, rules, step: of.step })
}

function proposed(question: Question, outcome: ClaimOutcome<never> & { kind: 'proposed' }): Answer {
  const { requestId, decision } = outcome
  if (question.purpose === 'propose' || decision.kind !== 'require') {
    return { kind: 'proposed', requestId }
  }
  return { kind: 'waiting', requestId, message: askedText(decision) }
}

/**
 * Outside of the claim's transaction, which waits for nobody: it is told what was verified, by all the
 * bytes of it. What is not to be verified counts for nothing, and is remembered as that.
 */
export async function verifyAll(
  { policies, verify, report }: Pick<CustodyDeps, 'policies' | 'verify' | 'report'>,
  { verified }: { readonly verified: Verified },
  said: readonly RawApproval[],
): Promise<Verified> {
  const rosters = policies.roster === null ? [] : [policies.roster]
  const found = new Map(verified)
  for (const raw of said) {
    try {
      found.set(rawKey(raw), await verifyApproval({ raw, rosters, verify }))
    } catch (error) {
      if (!(error instanceof ApprovalError)) throw error
      report({ kind: 'approval-unverifiable', error })
      found.set(rawKey(raw), null)
    }
  }
  return found
}

async function observe(
  deps: CustodyDeps,
  { did, begunAt }: Stop & { kind: 'read-directory' },
): Promise<Observation | null> {
  try {
    const log = await readVerifiedLog(did, deps)
    return { head: log.head.cid, begunAt }
  } catch (error) {
    if (!(error instanceof DirectoryError)) throw error
    deps.report({ kind: 'directory-unreadable', did, error })
    return null
  }
}

function denied(requestId: string | null, decision: Decision): Denied {
  if (decision.kind !== 'deny') throw new TypeError('a denial has its findings')
  const [{ rule, message }] = decision.findings
  return { kind: 'denied', requestId, rule, message }
}

export function busy(requestId: string | null, message: string): Busy {
  return { kind: 'busy', requestId, message }
}
