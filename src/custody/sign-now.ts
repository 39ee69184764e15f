import { randomUUID } from 'node:crypto'
import { DirectoryError } from '../directory/directory.ts'
import type { PlcDirectory } from '../directory/directory.ts'
import {
  attachSignature,
  decodeUnsignedOperation,
  didOfGenesis,
  requestDigest,
} from '../plc/encode.ts'
import type { SigningBytes } from '../plc/encode.ts'
import { PlcError } from '../plc/error.ts'
import type { UnsignedOperation } from '../plc/operation.ts'
import type { EcdsaVerify } from '../plc/signature.ts'
import { limitedRules } from '../policy/evaluate.ts'
import type { Decision } from '../policy/evaluate.ts'
import type { KeyConfig, PolicySet } from '../policy/policy-set.ts'
import { verifyForRelease } from '../signer/release.ts'
import { SignerError } from '../signer/signer.ts'
import type { CommittedIntent, Signer, VerifiedSignature } from '../signer/signer.ts'
import type { CustodyEvent } from './events.ts'
import { judge } from './judge.ts'
import type { Question, Stop } from './judge.ts'
import { StoreBusyError } from './ports.ts'
import type { ClaimOutcome, Observation, RequestStore } from './ports.ts'
import { readVerifiedLog } from './read-log.ts'

/** A key that has not answered by then is not waited for. The claim's lease is longer. */
export const KEY_DEADLINE_MS = 5_000

export type SignNowInput = {
  readonly caller: string
  /** A key that the caller may use; the door has looked it up. */
  readonly key: KeyConfig
  /** The message as it came: it must be one canonical unsigned PLC operation. */
  readonly message: Uint8Array
}

export type SignNowResult =
  | { readonly kind: 'signed'; readonly requestId: string; readonly compact: Uint8Array }
  | {
      readonly kind: 'denied'
      readonly requestId: string
      readonly rule: string
      readonly message: string
    }
  | { readonly kind: 'malformed'; readonly message: string }
  /** Not now: the same bytes may be asked for again at once. */
  | { readonly kind: 'busy'; readonly requestId: string | null; readonly message: string }

/** Throws only on our own failure; the same bytes may then be asked for again. */
export type SignNow = (input: SignNowInput) => Promise<SignNowResult>

export type CustodyDeps = {
  readonly store: RequestStore
  readonly directory: PlcDirectory
  readonly verify: EcdsaVerify
  readonly policies: PolicySet
  readonly signers: ReadonlyMap<string, Signer>
  readonly report: (event: CustodyEvent) => void
}

/** Proposes and signs in one call, as a caller needs that cannot wait for people. */
export function createSignNow(deps: CustodyDeps): SignNow {
  return async (input) => {
    const decoded = decode(input.message)
    if ('malformed' in decoded) return { kind: 'malformed', message: decoded.malformed }
    try {
      return await signOperation(deps, input, decoded)
    } catch (error) {
      if (error instanceof StoreBusyError)
        return busy(null, 'the database cannot serve this now; ask again')
      throw error
    }
  }
}

async function signOperation(
  deps: CustodyDeps,
  { caller, key }: SignNowInput,
  { operation, bytes }: { operation: UnsignedOperation; bytes: SigningBytes },
): Promise<SignNowResult> {
  const previous = operation.prev === null ? null : await deps.store.findOperation(operation.prev)
  return await claimAndSign(deps, {
    subject: { caller, key, operation, previous },
    bytes,
    digest: requestDigest(bytes),
    policies: deps.policies,
    observed: null,
    requestId: randomUUID(),
  })
}

function decode(message: Uint8Array) {
  try {
    return decodeUnsignedOperation(message)
  } catch (error) {
    if (error instanceof PlcError) return { malformed: error.message }
    throw error
  }
}

async function claimAndSign(deps: CustodyDeps, question: Question): Promise<SignNowResult> {
  const outcome = await deps.store.claim(
    { ...question, limited: limitedRules(question.subject, deps.policies) },
    (snapshot) => judge(question, snapshot),
  )
  switch (outcome.kind) {
    case 'denied':
      return denied(outcome.requestId, outcome.decision)
    case 'claimed':
      reportAlarms(deps, outcome)
      return await useKey(deps, question, outcome.intent)
    case 'stopped':
      return await answerStop(deps, question, outcome.value)
  }
}

async function answerStop(
  deps: CustodyDeps,
  question: Question,
  stop: Stop,
): Promise<SignNowResult> {
  switch (stop.kind) {
    case 'recorded':
      return signed(stop.request.id, stop.request.signature)
    case 'denied':
      return denied(stop.request.id, stop.request.decision)
    case 'busy':
      return busy(stop.request.id, 'these bytes are being signed by another call')
    case 'read-directory': {
      // One read a call: a rival that appears meanwhile is too young for a second one to help.
      if (question.observed !== null) return busy(null, 'the identity is changing; ask again')
      const observed = await observe(deps, stop)
      if (observed === null)
        return busy(null, 'the PLC directory cannot be read now, and this operation needs its head')
      return await claimAndSign(deps, { ...question, observed })
    }
  }
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

/** The key is used here and nowhere else. What a crash leaves at each step is in the claim. */
async function useKey(
  deps: CustodyDeps,
  question: Question,
  intent: CommittedIntent,
): Promise<SignNowResult> {
  const { requestId } = intent.authorized
  const signature = await signAndVerify(deps, intent)
  if (signature === null) return busy(requestId, 'the key did not answer in time')
  const operation = attachSignature(question.subject.operation, signature.compact)
  const did = question.subject.previous?.did ?? didOfGenesis(operation)
  const recorded = await deps.store.record(signature, { did, operation })
  // Our lease has ended: whoever takes over signs, and this signature is forgotten.
  if (recorded === null) return busy(requestId, 'signing took too long; ask again')
  return signed(requestId, recorded.signature)
}

async function signAndVerify(
  deps: CustodyDeps,
  intent: CommittedIntent,
): Promise<VerifiedSignature | null> {
  const { key, requestId } = intent.authorized
  const signer = deps.signers.get(key.id)
  try {
    if (signer === undefined) throw new SignerError('key-unusable', `key ${key.id} has no signer`)
    const raw = await signer.sign(intent, AbortSignal.timeout(KEY_DEADLINE_MS))
    return await verifyForRelease(intent, raw, deps.verify)
  } catch (error) {
    deps.report({ kind: 'signing-failed', requestId, key: key.id, error })
    // Whether the key was used is unknown: the claim stands until its lease ends.
    if (error instanceof SignerError && error.code === 'timeout') return null
    await deps.store.fail(intent, error instanceof SignerError ? error.code : 'unexpected')
    throw error
  }
}

function reportAlarms(deps: CustodyDeps, claimed: ClaimOutcome<Stop> & { kind: 'claimed' }): void {
  for (const limit of claimed.limits) {
    if (limit.alarm)
      deps.report({ kind: 'limit-alarm', requestId: claimed.intent.authorized.requestId, limit })
  }
}

function denied(requestId: string, decision: Decision): SignNowResult {
  if (decision.kind !== 'deny') throw new TypeError(`request ${requestId} was not denied`)
  const [{ rule, message }] = decision.findings
  return { kind: 'denied', requestId, rule, message }
}

function signed(requestId: string, compact: Uint8Array | null): SignNowResult {
  if (compact === null) throw new TypeError(`request ${requestId} has no recorded signature`)
  return { kind: 'signed', requestId, compact }
}

const busy = (requestId: string | null, message: string): SignNowResult => ({
  kind: 'busy',
  requestId,
  message,
})
