import { attachSignature, decodeUnsignedOperation, didOfGenesis } from '../plc/encode.ts'
import { PlcError } from '../plc/error.ts'
import { verifySignature } from '../plc/signature.ts'
import type { Decision } from '../policy/evaluate.ts'
import { verifyForRelease } from '../signer/release.ts'
import { SignerError } from '../signer/signer.ts'
import type { CommittedIntent, VerifiedSignature } from '../signer/signer.ts'
import { ask, busy, orBusy, reportAlarmedStep } from './ask.ts'
import { TamperedError } from './ports.ts'
import type { StoredRequest } from './ports.ts'
import type { Answer, Ask, Busy, CustodyDeps, Denied, Malformed, Rejected, Waiting } from './ask.ts'

/** A key that has not answered by then is not waited for. The claim's lease is longer. */
export const KEY_DEADLINE_MS = 5_000

export type SignNowResult =
  | { readonly kind: 'signed'; readonly requestId: string; readonly compact: Uint8Array }
  | Malformed
  | Denied
  | Busy
  | Waiting
  | Rejected

/** Throws only on our own failure; the same bytes may then be asked for again. */
export type SignNow = (input: Ask) => Promise<SignNowResult>

/** Proposes and signs in one call, as a caller needs that cannot wait for people. */
export function createSignNow(deps: CustodyDeps): SignNow {
  return async (input) => {
    const answer = await ask(deps, input, 'sign')
    switch (answer.kind) {
      case 'malformed':
      case 'denied':
      case 'busy':
      case 'waiting':
      case 'rejected':
        return answer
      case 'recorded':
        return await signedBefore(deps, input, answer.request)
      case 'proposed':
        throw new TypeError('signing proposes nothing')
      case 'claimed':
        reportAlarms(deps, answer)
        return await orBusy(async () => await useKey(deps, answer))
    }
  }
}

/**
 * A recorded signature is given again only as what it is: that of these bytes by this key.
 * @throws TamperedError
 */
async function signedBefore(
  deps: CustodyDeps,
  { key, message }: Ask,
  { id, signature }: StoredRequest,
): Promise<SignNowResult> {
  const compact = signature ?? new Uint8Array()
  try {
    const { bytes } = decodeUnsignedOperation(message)
    await verifySignature({ bytes, compact, keys: [key.did], verify: deps.verify })
    return signed(id, compact)
  } catch (cause) {
    if (!(cause instanceof PlcError)) throw cause
    const error = new TamperedError(`request ${id} holds no signature of its bytes`, { cause })
    deps.report({ kind: 'row-tampered', error })
    throw error
  }
}

type Claimed = Answer & { kind: 'claimed' }

/** The key is used here and nowhere else. What a crash leaves at each step is in the claim. */
async function useKey(
  deps: CustodyDeps,
  { intent, question, decision }: Claimed,
): Promise<SignNowResult> {
  const { requestId } = intent.authorized
  const { caller } = question.subject
  if (asksWitness(decision) && !(await deps.isWitnessed(intent, caller))) {
    await deps.store.postpone(intent, 'unwitnessed')
    return busy(requestId, 'no quorum of witnesses has cosigned the intent yet; ask again')
  }
  const signature = await signAndVerify(deps, intent)
  if (signature === 'unknown') return keyBusy(requestId, 'the key did not answer in time')
  if (signature === 'not-now') return keyBusy(requestId, 'the key cannot be used now; ask again')
  const operation = attachSignature(question.subject.operation, signature.compact)
  const did = question.subject.previous?.did ?? didOfGenesis(operation)
  const recorded = await deps.store.record(signature, { did, operation, caller })
  // Our lease has ended: whoever takes over signs, and this signature is forgotten.
  if (recorded === null) return busy(requestId, 'signing took too long; ask again')
  return signed(requestId, signature.compact)
}

async function signAndVerify(
  deps: CustodyDeps,
  intent: CommittedIntent,
): Promise<VerifiedSignature | 'unknown' | 'not-now'> {
  const { key, requestId } = intent.authorized
  const signer = deps.signers.get(key.id)
  try {
    if (signer === undefined) throw new SignerError('key-unusable', `key ${key.id} has no signer`)
    const deadline = AbortSignal.timeout(KEY_DEADLINE_MS)
    const use = await Promise.race([signer.sign(intent, deadline), expiry(deadline)])
    return await verifyForRelease(intent, use, deps.verify)
  } catch (error) {
    const code = error instanceof SignerError ? error.code : 'unexpected'
    const kind = code === 'unavailable' ? 'key-unavailable' : 'signing-failed'
    deps.report({ kind, requestId, key: key.id, error })
    // Whether the key was used is unknown: the claim stands until its lease ends.
    if (code === 'timeout') return 'unknown'
    if (code !== 'unavailable') {
      await deps.store.fail(intent, code)
      throw error
    }
    await deps.store.postpone(intent, code)
    return 'not-now'
  }
}

/** Of rules that ask for one: the intent is shown elsewhere before the key is used, or the key is not used. */
function asksWitness(decision: Decision): boolean {
  return decision.kind === 'require' && decision.requirements.some(({ witness }) => witness)
}

const keyBusy = (requestId: string, message: string): Busy => ({
  ...busy(requestId, message),
  ofKey: true,
})

/** A backend that listens to its signal says what it knows: that it did not use the key, for one. */
const LAST_WORD_MS = 250

/** A backend that does not listen must not hold the caller for ever. */
function expiry(deadline: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const expire = () => reject(new SignerError('timeout', 'the key did not answer in time'))
    const abort = () => setTimeout(expire, LAST_WORD_MS).unref()
    deadline.addEventListener('abort', abort, { once: true })
  })
}

/** Before the key is used: of what a crash cut short somebody has heard. */
function reportAlarms(deps: CustodyDeps, { intent, decision }: Claimed): void {
  const { requestId } = intent.authorized
  reportAlarmedStep(deps, { requestId, decision, step: { kind: 'signing' } })
  const limits = decision.kind === 'deny' ? [] : decision.limits
  for (const limit of limits) {
    if (limit.alarm) deps.report({ kind: 'limit-alarm', requestId, limit })
  }
}

function signed(requestId: string, compact: Uint8Array): SignNowResult {
  return { kind: 'signed', requestId, compact: new Uint8Array(compact) }
}
