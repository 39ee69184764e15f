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
import { decodeEntry } from '../decode.ts'
import type { JudgedRequest } from '../entry.ts'
import { AuditError } from '../error.ts'
import type { Fact, JudgedFact, ProducedFact } from './fact.ts'
import { isEqual } from './is-equal.ts'

/** Policy sets by the hex of their digest. */
export type KnownPolicies = ReadonlyMap<string, PolicySet>

/** What an entry says does not follow from its own bytes. */
class Wrong extends Error {
  override readonly name = 'Wrong'
}

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
  policies: KnownPolicies,
  verify: EcdsaVerify,
): Promise<Fact[]> {
  const open: Open = new Map()
  const facts: Fact[] = []
  for (const [at, body] of run.bodies.entries()) {
    facts.push(await examineEntry({ index: run.start + at, body }, { policies, verify, open }))
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
  deps: { policies: KnownPolicies; verify: EcdsaVerify; open: Open },
): Promise<Fact> {
  try {
    const { at, entry } = decodeEntry(body)
    switch (entry.kind) {
      case 'request.proposed':
      case 'request.denied': {
        const policy = hex(entry.policy)
        const set = deps.policies.get(policy)
        if (set === undefined) return { index, is: 'deferred', policy, body: body.slice() }
        const { fact: of, bytes } = judge(entry, at, set)
        if (entry.kind === 'request.proposed') deps.open.set(entry.request, { fact: of, bytes })
        return { index, is: 'judged', at, of }
      }
      case 'signature.produced': {
        const { kind, request, lease, did, cid, signature } = entry
        const claim = { kind, request, lease, did, cid, signature, over: null }
        const known = deps.open.get(request)
        if (known === undefined) return { index, is: 'produced', at, of: claim }
        deps.open.delete(request)
        const of = await checkSignature(claim, { ...known.fact, bytes: known.bytes }, deps.verify)
        return { index, is: 'produced', at, of }
      }
      default:
        return { index, is: 'plain', at, of: entry }
    }
  } catch (error) {
    return { index, ...problemOf(error) }
  }
}

function problemOf(error: unknown): { is: 'wrong' | 'unknown'; message: string } {
  if (error instanceof AuditError && error.code === 'unknown-version') {
    return { is: 'unknown', message: error.message }
  }
  const ours = error instanceof AuditError || error instanceof PlcError || error instanceof Wrong
  if (!ours) throw error
  return { is: 'wrong', message: error.message }
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
  const { facts, decision } = decideAgain({
    subject: { caller: entry.caller, key, operation, previous },
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
    needsApproval: decision.kind === 'require',
    unsigned: null,
  }
  return { fact, bytes }
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
