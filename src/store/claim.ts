import { randomUUID } from 'node:crypto'
import type { Pool } from 'pg'
import { encodeEntry } from '../audit/entry.ts'
import type { AuditEntry, EncodedEntry } from '../audit/entry.ts'
import type {
  ClaimInput,
  ClaimOutcome,
  ClaimSnapshot,
  Judged,
  RequestStore,
  Verdict,
} from '../custody/ports.ts'
import type { Sealer } from '../sealing/sealer.ts'
import type { CommittedIntent } from '../signer/signer.ts'
import type { AskedWrite } from './asked.ts'
import { createBatcher } from './batch.ts'
import { readSnapshots } from './claim-snapshot.ts'
import { ClaimConflict, write } from './claim-writes.ts'
import type { Ended, RequestWrite } from './claim-writes.ts'
import { countDenials } from './denials.ts'
import { StoreError } from './error.ts'
import type { OwnSignatures } from './own-signatures.ts'
import { underLocks } from './transaction.ts'

type Call = {
  readonly input: ClaimInput
  readonly judge: (snapshot: ClaimSnapshot) => Verdict<unknown>
  /** Claims for one identity (or one genesis) take turns, and so do all under one globally limited rule. */
  readonly locks: readonly string[]
}

/** What one call writes, and what it is told once that is committed. */
type Plan = {
  readonly request: RequestWrite | null
  readonly asks: AskedWrite | null
  readonly ended: readonly Ended[]
  readonly entries: readonly EncodedEntry[]
  readonly answer: () => ClaimOutcome<unknown>
}

/**
 * One transaction for all the calls that came while the last one was under way: lock, read, judge
 * each, write. A crash before its commit leaves nothing; after it, claims whose leases end by
 * themselves, so that no identity is ever locked for longer than that.
 */
export function createClaim(pool: Pool, sealer: Sealer, own: OwnSignatures): RequestStore['claim'] {
  const claim = createBatcher<Call, ClaimOutcome<unknown>>({
    keysOf: (call) => call.locks,
    run: async (calls) => await claimAll({ pool, sealer, own }, calls),
  })
  return async <T>(input: ClaimInput, judge: (snapshot: ClaimSnapshot) => Verdict<T>) =>
    (await claim({ input, judge, locks: lockNames(input) })) as ClaimOutcome<T>
}

function lockNames({ subject, digest, limited }: ClaimInput): string[] {
  const identity = subject.previous?.did ?? Buffer.from(digest).toString('hex')
  const counted = limited.filter(({ limits }) => limits.global !== null)
  return [`identity ${identity}`, ...counted.map((rule) => `rule ${rule.id}`)]
}

const ATTEMPTS = 3

type Deps = { readonly pool: Pool; readonly sealer: Sealer; readonly own: OwnSignatures }

async function claimAll(deps: Deps, calls: readonly Call[]) {
  for (let attempt = 1; ; attempt++) {
    try {
      const plans = await commitPlans(deps, calls)
      return plans.map((plan) => settle(() => plan().answer()))
    } catch (error) {
      if (!(error instanceof ClaimConflict) || attempt === ATTEMPTS) throw error
    }
  }
}

/** Each plan is a thunk: a call whose judging threw fails alone, without taking the others along. */
async function commitPlans(
  { pool, sealer, own }: Deps,
  calls: readonly Call[],
): Promise<(() => Plan)[]> {
  const locks = calls.flatMap((call) => call.locks)
  return await underLocks(pool, locks, async (client) => {
    const snapshots = await readSnapshots(
      { client, sealer, own },
      calls.map((call) => call.input),
    )
    const planned = calls.map((call, index) => settle(() => planCall(own, call, snapshots[index])))
    const settled = await countDenials(client, planned)
    const plans = settled.flatMap((plan) => (plan.status === 'fulfilled' ? [plan.value] : []))
    await write(client, sealer, {
      requests: plans.flatMap((plan) => plan.request ?? []),
      asked: plans.flatMap((plan) => plan.asks ?? []),
      ended: plans.flatMap((plan) => plan.ended),
      entries: plans.flatMap((plan) => plan.entries),
    })
    return settled.map((plan) => () => {
      if (plan.status === 'rejected') throw plan.reason
      return plan.value
    })
  })
}

function planCall(
  own: OwnSignatures,
  { input, judge }: Call,
  snapshot: ClaimSnapshot | StoreError | undefined,
): Plan {
  if (snapshot === undefined) throw new TypeError('every call has its snapshot')
  if (snapshot instanceof StoreError) throw snapshot
  const verdict = judge(snapshot)
  switch (verdict.kind) {
    case 'stop':
      return {
        request: null,
        asks: null,
        ended: [],
        entries: [],
        answer: () => ({ kind: 'stopped', value: verdict.value }),
      }
    case 'deny':
      return planDenial(input, snapshot, verdict)
    case 'propose':
      return planProposal(input, snapshot, verdict)
    case 'claim':
      return planClaim(own, input, snapshot, verdict)
  }
}

function planDenial(
  input: ClaimInput,
  { now }: ClaimSnapshot,
  { judged, told }: Verdict<unknown> & { kind: 'deny' },
): Plan {
  const id = randomUUID()
  const { decision } = told
  const findings = decision.kind === 'deny' ? decision.findings : []
  return {
    request: {
      ...requestOf(input, { id, createdAt: now }),
      operationClass: told.class,
      policy: judged.policy,
      did: told.did,
      decision,
      rules: findings.map(({ rule }) => rule),
      state: 'denied',
    },
    asks: null,
    ended: [],
    entries: encodeAll(now, [{ kind: 'request.denied', request: id, ...judged }]),
    answer: () => ({ kind: 'denied', requestId: id, decision }),
  }
}

function planProposal(
  input: ClaimInput,
  { now }: ClaimSnapshot,
  { judged, requestId, asks, ends }: Verdict<unknown> & { kind: 'propose' },
): Plan {
  const request = {
    ...allowedRequest(input, judged, { id: requestId, createdAt: now }),
    state: asks === null ? ('approved' as const) : ('proposed' as const),
  }
  const ending = ends.map(({ request: { id }, to }): AuditEntry => {
    if (to === 'expired') return { kind: 'request.expired', request: id }
    return { kind: 'request.superseded', request: id, by: requestId }
  })
  return {
    request,
    asks: asks === null ? null : { request, ...asks },
    ended: ends.map(({ request: { id, state }, to }) => ({ id, from: state, to })),
    entries: encodeAll(now, [
      ...ending,
      { kind: 'request.proposed', request: requestId, ...judged },
    ]),
    answer: () => ({ kind: 'proposed', requestId, decision: judged.decision }),
  }
}

function planClaim(
  own: OwnSignatures,
  input: ClaimInput,
  { now }: ClaimSnapshot,
  { judged, authorized, reclaims, supersedes, agreement }: Verdict<unknown> & { kind: 'claim' },
): Plan {
  const { requestId: id } = authorized
  const lease = randomUUID()
  const replaced = supersedes.filter((rival) => rival.signature !== null).map((rival) => rival.id)
  const replaces = [...(reclaims?.replaces ?? []), ...replaced]
  const { keyDid, decision } = judged
  const entries: AuditEntry[] = [
    ...supersedes.map(
      (rival) => ({ kind: 'request.superseded', request: rival.id, by: id }) as const,
    ),
    { kind: 'request.proposed', request: id, ...judged },
    {
      kind: 'signature.intended',
      request: id,
      lease,
      digest: input.digest,
      keyDid,
      replaces,
      agreement,
    },
  ]
  return {
    request: {
      ...allowedRequest(input, judged, { id, createdAt: reclaims?.createdAt ?? now }),
      state: 'signing',
      replaces,
      lease,
      intendedAt: now,
    },
    asks: null,
    ended: supersedes.map(({ id, state }) => ({ id, from: state, to: 'superseded' as const })),
    entries: encodeAll(now, entries),
    // Called after the commit, and the intent is made nowhere else.
    answer: () => {
      own.claimed(ownClaimOf(input, { id, judged, at: now }))
      return {
        kind: 'claimed',
        decision,
        intent: Object.freeze({ authorized, lease }) as CommittedIntent,
      }
    },
  }
}

function ownClaimOf(
  { subject, digest, limited }: ClaimInput,
  { id, judged, at }: { id: string; judged: Judged; at: Date },
) {
  const rules = judged.decision.kind === 'deny' ? [] : judged.decision.rules
  return {
    id,
    prev: subject.operation.prev,
    digest: Buffer.from(digest).toString('hex'),
    limited: limited.map((rule) => rule.id).filter((rule) => rules.includes(rule)),
    intendedAt: at,
  }
}

function allowedRequest(
  input: ClaimInput,
  judged: (Verdict<unknown> & { kind: 'claim' })['judged'],
  row: { id: string; createdAt: Date },
) {
  const { decision } = judged
  return {
    ...requestOf(input, row),
    operationClass: judged.class,
    policy: judged.policy,
    did: judged.did,
    decision,
    rules: decision.kind === 'deny' ? [] : decision.rules,
  }
}

function requestOf({ subject, bytes, digest }: ClaimInput, row: { id: string; createdAt: Date }) {
  return {
    ...row,
    caller: subject.caller,
    keyId: subject.key.id,
    digest,
    unsigned: bytes,
    prev: subject.operation.prev,
    replaces: [],
    lease: null,
    intendedAt: null,
  }
}

function encodeAll(at: Date, entries: readonly AuditEntry[]): EncodedEntry[] {
  return entries.map((entry) => encodeEntry(entry, at))
}

function settle<T>(work: () => T): PromiseSettledResult<T> {
  try {
    return { status: 'fulfilled', value: work() }
  } catch (reason) {
    return { status: 'rejected', reason }
  }
}
