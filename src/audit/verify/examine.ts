import { ApprovalError } from '../../approval/error.ts'
import { verifyApproval } from '../../approval/verify.ts'
import {
  cidOfEncoded,
  decodeSignedOperation,
  decodeUnsignedOperation,
  didOfEncoded,
  requestDigest,
  withSignature,
} from '../../plc/encode.ts'
import type { SigningBytes } from '../../plc/encode.ts'
import { isLowS } from '../../plc/compact.ts'
import { curveOf } from '../../plc/did-key.ts'
import { PlcError } from '../../plc/error.ts'
import type { EcdsaVerify } from '../../plc/signature.ts'
import { evaluate } from '../../policy/evaluate.ts'
import type { Decision } from '../../policy/evaluate.ts'
import type { PreviousOperation } from '../../policy/facts.ts'
import type { PolicySet } from '../../policy/policy-set.ts'
import type { Roster } from '../../policy/roster.ts'
import { decodeEntry } from '../decode.ts'
import type { AuditEntry, JudgedRequest } from '../entry.ts'
import { AuditError } from '../error.ts'
import type { Asks, Fact, JudgedFact, ProducedFact } from './fact.ts'
import { isEqual } from './is-equal.ts'

/** What was in force at some time: policy sets by the hex of their digest, and the officers of each epoch. */
export type KnownRules = {
  readonly policies: ReadonlyMap<string, PolicySet>
  readonly rosters: readonly Roster[]
}

/** What an entry says does not follow from its own bytes. */
class Wrong extends Error {
  override readonly name = 'Wrong'
}

const ours = [AuditError, PlcError, ApprovalError, Wrong]

/** Signed bytes that were seen in this run, by request. */
type Open = Map<string, { readonly fact: JudgedFact; readonly bytes: SigningBytes }>

/**
 * Judges a run of entries by what each says itself: its form, its bytes and digests, the decision that
 * the rules give again, and the signatures over bytes that stand in the same run. Pure, and the same
 * for every run of the log: runs may be examined in any order, and side by side.
 * @param run.start index of the first
 */
export async function examineRun(
  run: { readonly start: number; readonly bodies: readonly Uint8Array[] },
  rules: KnownRules,
  verify: EcdsaVerify,
): Promise<Fact[]> {
  const open: Open = new Map()
  const facts: Fact[] = []
  for (const [at, body] of run.bodies.entries()) {
    facts.push(await examineEntry({ index: run.start + at, body }, { ...rules, verify, open }))
  }
  // Only what is still unsigned at the end needs its bytes later.
  return facts.map((fact) =>
    fact.is === 'judged' && open.get(fact.of.request)?.fact === fact.of
      ? { ...fact, of: { ...fact.of, unsigned: open.get(fact.of.request)!.bytes } }
      : fact,
  )
}

async function examineEntry(
  { index, body }: { index: number; body: Uint8Array },
  deps: KnownRules & { verify: EcdsaVerify; open: Open },
): Promise<Fact> {
  try {
    const { at, entry } = decodeEntry(body)
    switch (entry.kind) {
      case 'request.proposed':
      case 'request.denied': {
        const policy = hex(entry.policy)
        const set = deps.policies.get(policy)
        if (set === undefined) {
          const lacks = `decided under policies ${policy}`
          return { index, is: 'deferred', lacks, body: body.slice() }
        }
        const { fact: of, bytes } = judge(entry, at, set)
        if (entry.kind === 'request.proposed') deps.open.set(entry.request, { fact: of, bytes })
        return { index, is: 'judged', at, of }
      }
      case 'signature.intended':
        return { index, is: 'intended', at, of: { ...entry, digest: hex(entry.digest) } }
      case 'signature.produced': {
        const { kind, request, lease, did, cid, signature } = entry
        const claim = { kind, request, lease, did, cid, signature, over: null }
        const known = deps.open.get(request)
        if (known === undefined) return { index, is: 'produced', at, of: claim }
        deps.open.delete(request)
        const of = await checkSignature(claim, { ...known.fact, bytes: known.bytes }, deps.verify)
        return { index, is: 'produced', at, of }
      }
      case 'approval.recorded':
      case 'rejection.recorded':
        return await examineSaid({ index, at, entry, body }, deps)
      default:
        return { index, is: 'plain', at, of: entry }
    }
  } catch (error) {
    return { index, ...problemOf(error) }
  }
}

type Said = AuditEntry & { readonly kind: 'approval.recorded' | 'rejection.recorded' }

async function examineSaid(
  found: { index: number; at: number; entry: Said; body: Uint8Array },
  { rosters, verify }: { rosters: readonly Roster[]; verify: EcdsaVerify },
): Promise<Fact> {
  const { index, at, entry, body } = found
  const { kind, request, statement, evidence } = entry
  try {
    const approval = await verifyApproval({ raw: { statement, evidence }, rosters, verify })
    return { index, is: 'said', at, of: { kind, request, approval } }
  } catch (error) {
    if (!(error instanceof ApprovalError) || error.code !== 'unknown-roster') throw error
    return { index, is: 'deferred', lacks: 'it names officers', body: body.slice() }
  }
}

function problemOf(error: unknown): { is: 'wrong' | 'unknown'; message: string } {
  if (error instanceof AuditError && error.code === 'unknown-version') {
    return { is: 'unknown', message: error.message }
  }
  if (!ours.some((known) => error instanceof known)) throw error
  return { is: 'wrong', message: (error as Error).message }
}

type JudgedEntry = JudgedRequest & { readonly kind: JudgedFact['kind'] }

/** @throws Wrong, PlcError */
function judge(
  entry: JudgedEntry,
  at: number,
  policies: PolicySet,
): { fact: JudgedFact; bytes: SigningBytes } {
  const { operation, bytes } = decodeUnsignedOperation(entry.unsigned)
  const previous = previousOf(entry)
  must(isEqual(requestDigest(bytes), entry.digest), 'its digest is of other bytes')
  must(previous === null || previous.cid === operation.prev, 'prev names another operation')
  const key = policies.keys.find(({ id }) => id === entry.key)
  if (key?.did !== entry.keyDid) throw new Wrong('its key is not one of its policies')
  const subject = { caller: entry.caller, key, operation, previous }
  const { facts, decision } = decideAgain({
    subject,
    circumstances: {
      now: new Date(at),
      observedHead: entry.observedHead,
      operationCounts: entry.operationCounts,
      ruleCounts: entry.ruleCounts,
      didRuleCounts: entry.didRuleCounts,
    },
    policies,
  })
  must(facts.operationClass === entry.class, `it is a ${facts.operationClass}`)
  must(isEqual(facts.changeKinds, entry.changes), 'it changes something else')
  checkDecision(entry, decision)
  const { kind, request, caller, keyDid, did, standing } = entry
  const fact = {
    kind,
    request,
    caller,
    keyDid,
    did,
    standing,
    digest: hex(entry.digest),
    prev: operation.prev,
    asks: decision.kind === 'require' ? asksOf(entry, { decision, subject, bytes }) : null,
    unsigned: null,
  }
  return { fact, bytes }
}

function asksOf(
  { caller, officer, policy }: JudgedEntry,
  asked: Pick<Asks, 'decision' | 'subject' | 'bytes'>,
): Asks {
  const requester =
    officer === null
      ? { kind: 'caller' as const, name: caller }
      : { kind: 'person' as const, id: officer }
  return { ...asked, policy: hex(policy), requester }
}

function decideAgain(input: Parameters<typeof evaluate>[0]): ReturnType<typeof evaluate> {
  try {
    return evaluate(input)
  } catch (cause) {
    // A limit that was not counted: the service could not have decided this.
    throw new Wrong(cause instanceof Error ? cause.message : 'the rules cannot judge it')
  }
}

function previousOf({ previous, standing, did }: JudgedEntry): PreviousOperation | null {
  if (previous === null && standing === null && did === null) return null
  if (previous === null || standing === null || did === null) {
    throw new Wrong('of what prev names only a part is there')
  }
  return {
    did,
    cid: cidOfEncoded(previous),
    operation: decodeSignedOperation(previous),
    ...standing,
    recordedAt: new Date(standing.recordedAt),
  }
}

/** A rival on the same `prev` is not the policy's to know: that denial may stand beside its yes. */
function checkDecision(entry: JudgedEntry, again: Decision): void {
  const { kind, decision } = entry
  must(
    (kind === 'request.denied') === (decision.kind === 'deny'),
    `it was decided ${decision.kind}`,
  )
  if (isEqual(decision, again)) return
  const rivals =
    decision.kind === 'deny' &&
    decision.findings.length === 1 &&
    decision.findings[0].rule === 'PREV-ONE-LIVE-SIGNATURE'
  must(rivals && again.kind !== 'deny', `under its policies it is ${again.kind}, not as recorded`)
}

/**
 * That a signature is by the key over exactly the proposed bytes, and makes the CID and DID that it says.
 * @throws Wrong
 */
export async function checkSignature(
  claim: ProducedFact,
  proposed: Pick<JudgedFact, 'digest' | 'keyDid' | 'did' | 'prev'> & { bytes: SigningBytes },
  verify: EcdsaVerify,
): Promise<ProducedFact> {
  const { keyDid, digest, bytes } = proposed
  const { signature } = claim
  if (signature === null) throw new Wrong('its signature is not at hand')
  const strict = isLowS(signature, curveOf(keyDid))
  must(strict && (await verify(keyDid, bytes, signature)), 'its signature does not verify')
  const signed = withSignature(bytes, signature)
  must(cidOfEncoded(signed) === claim.cid, 'its CID is not that of what was signed')
  const did = proposed.prev === null ? didOfEncoded(signed) : proposed.did
  must(did === claim.did, 'its DID is another one')
  return { ...claim, signature: null, over: { digest, keyDid } }
}

/** As a fact, for who has the bytes later. */
export async function settleSignature(
  claim: ProducedFact,
  proposed: JudgedFact & { unsigned: Uint8Array },
  verify: EcdsaVerify,
): Promise<ProducedFact | string> {
  try {
    const { bytes } = decodeUnsignedOperation(proposed.unsigned)
    return await checkSignature(claim, { ...proposed, bytes }, verify)
  } catch (error) {
    return problemOf(error).message
  }
}

function must(holds: boolean, message: string): void {
  if (!holds) throw new Wrong(message)
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}
