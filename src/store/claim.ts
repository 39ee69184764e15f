import { randomUUID } from 'node:crypto'
import { and, desc, eq, gt, inArray, isNull, ne, or, sql } from 'drizzle-orm'
import type { AuditEntry } from '../audit/entry.ts'
import type {
  ClaimInput,
  ClaimOutcome,
  ClaimSnapshot,
  StoredRequest,
  Verdict,
} from '../custody/ports.ts'
import type { CommittedIntent } from '../signer/signer.ts'
import type { Database, Transaction } from './database.ts'
import { append } from './outbox.ts'
import { operations, requests } from './schema.ts'
import { storedRequest } from './stored-request.ts'

/** Longer than the key's own deadline (5 s): a call that lives can always record. */
export const LEASE_SECONDS = 10

/** The states in which a request holds its `prev`; the partial unique indexes say the same. */
const live = ['signing', 'returned', 'submitted'] as const
const isLive = inArray(requests.state, [...live])

type ClaimVerdict<T> = Verdict<T> & { kind: 'claim' }
type DenyVerdict<T> = Verdict<T> & { kind: 'deny' }

/**
 * One transaction: lock, read, judge, write. A crash before its commit leaves nothing; after it, a
 * claim whose lease ends by itself, so that no identity is ever locked for longer than that.
 */
export async function claim<T>(
  db: Database,
  input: ClaimInput,
  judge: (snapshot: ClaimSnapshot) => Verdict<T>,
): Promise<ClaimOutcome<T>> {
  const committed = await db.transaction(async (tx) => {
    await lock(tx, input)
    const snapshot = await readSnapshot(tx, input)
    const verdict = judge(snapshot)
    switch (verdict.kind) {
      case 'stop':
        return { kind: 'stopped', value: verdict.value } as const
      case 'deny':
        return await writeDenial(tx, { input, snapshot, verdict })
      case 'claim':
        return await writeClaim(tx, { input, snapshot, verdict })
    }
  })
  if (committed.kind !== 'claimed') return committed
  const { authorized, lease, limits } = committed
  return {
    kind: 'claimed',
    limits,
    intent: Object.freeze({ authorized, lease }) as CommittedIntent,
  }
}

/**
 * Claims for one identity (or one genesis) take turns, and so do all claims under one limited rule.
 * The identity always comes first and the rules in order, so two claims never wait for each other.
 */
async function lock(tx: Transaction, input: ClaimInput): Promise<void> {
  const { previous } = input.subject
  const names = [
    `identity ${previous?.did ?? Buffer.from(input.digest).toString('hex')}`,
    ...input.limited.map((rule) => `rule ${rule.id}`).sort(),
  ]
  for (const name of names) {
    await tx.execute(sql`select pg_advisory_xact_lock(hashtextextended(${name}, 0))`)
  }
}

async function readSnapshot(tx: Transaction, input: ClaimInput): Promise<ClaimSnapshot> {
  const { previous } = input.subject
  const same = await readSame(tx, input)
  const sameIds = same.map((request) => request.id)
  const rivals =
    previous === null && input.subject.operation.prev !== null ? [] : await readRivals(tx, input)
  return {
    ...(await readCounts(tx, input)),
    same,
    rivals: rivals.filter((rival) => !sameIds.includes(rival.id)),
    ruleCounts: await countRules(tx, input),
  }
}

/** Far more than can count: all but the newest few have ended. */
const SAME_LIMIT = 16

/** First in the list, so that no number of later denials pushes one out of it. */
const wasReplaced = sql`(${requests.state} = 'superseded' and ${requests.signature} is not null)`

/**
 * Rows are locked, and not only their identity: a call whose lease has ended may still be recording,
 * and whoever takes over from it must see either its signature or that it can no longer record.
 */
async function readSame(
  tx: Transaction,
  { subject, digest }: ClaimInput,
): Promise<StoredRequest[]> {
  const rows = await tx
    .select()
    .from(requests)
    .where(
      and(
        eq(requests.digest, digest),
        eq(requests.caller, subject.caller),
        eq(requests.keyId, subject.key.id),
      ),
    )
    .orderBy(desc(wasReplaced), desc(requests.createdAt))
    .limit(SAME_LIMIT)
    .for('update')
  return rows.map(storedRequest)
}

async function readRivals(
  tx: Transaction,
  { subject, digest }: ClaimInput,
): Promise<StoredRequest[]> {
  const { previous } = subject
  const onSamePrev =
    previous === null
      ? and(isNull(requests.prev), eq(requests.digest, digest))
      : and(eq(requests.did, previous.did), eq(requests.prev, previous.cid))
  const rows = await tx
    .select()
    .from(requests)
    .where(and(onSamePrev, or(isLive, wasReplaced)))
    .for('update')
  return rows.map(storedRequest)
}

/** The clock is read after the locks are held: a claim that waited is judged by the time it got on. */
async function readCounts(tx: Transaction, { subject }: ClaimInput) {
  const did = subject.previous?.did ?? null
  const within = (window: string) =>
    sql<number>`(count(*) filter (where ${operations.recordedAt} > clock_timestamp() - ${window}::interval))::int`
  const [row] = await tx
    .select({
      now: sql<Date>`clock_timestamp()`.mapWith(requests.createdAt),
      hour: within('1 hour'),
      day: within('1 day'),
      week: within('7 days'),
    })
    .from(operations)
    .where(
      did === null ? sql`false` : and(eq(operations.did, did), eq(operations.nullified, false)),
    )
  if (row === undefined) throw new TypeError('an aggregate always has a row')
  const { now, ...operationCounts } = row
  return { now, operationCounts }
}

async function countRules(tx: Transaction, input: ClaimInput): Promise<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const rule of input.limited) {
    if (rule.limits.global === null) continue
    counts[rule.id] = await tx.$count(
      requests,
      and(
        inArray(requests.operationClass, [...rule.match.op]),
        gt(
          requests.intendedAt,
          sql`clock_timestamp() - make_interval(secs => ${rule.limits.global.seconds})`,
        ),
        sql`${rule.id} = any(${requests.rules})`,
        ne(requests.state, 'failed'),
        // A claim that is taken over is counted as the one operation that it is.
        ne(requests.digest, input.digest),
      ),
    )
  }
  return counts
}

async function writeDenial<T>(
  tx: Transaction,
  {
    input,
    snapshot,
    verdict,
  }: { input: ClaimInput; snapshot: ClaimSnapshot; verdict: DenyVerdict<T> },
) {
  const requestId = randomUUID()
  await tx.insert(requests).values({
    ...requestColumns(requestId, input, snapshot.now),
    operationClass: verdict.told.class,
    policy: verdict.judged.policy,
    did: verdict.told.did,
    decision: verdict.told.decision,
    rules:
      verdict.told.decision.kind === 'deny'
        ? verdict.told.decision.findings.map(({ rule }) => rule)
        : [],
    state: 'denied',
  })
  await append(tx, snapshot.now, [
    { kind: 'request.denied', request: requestId, ...verdict.judged },
  ])
  return { kind: 'denied', requestId, decision: verdict.told.decision } as const
}

async function writeClaim<T>(
  tx: Transaction,
  {
    input,
    snapshot,
    verdict,
  }: { input: ClaimInput; snapshot: ClaimSnapshot; verdict: ClaimVerdict<T> },
) {
  const { judged, authorized, reclaims, supersedes } = verdict
  const { requestId } = authorized
  const lease = randomUUID()
  const replaced = supersedes.filter((rival) => rival.signature !== null).map((rival) => rival.id)
  const replaces = [...(reclaims?.replaces ?? []), ...replaced]
  await supersede(tx, supersedes)
  const held = {
    ...requestColumns(requestId, input, reclaims?.createdAt ?? snapshot.now),
    operationClass: judged.class,
    policy: judged.policy,
    did: judged.did,
    decision: judged.decision,
    rules: judged.decision.kind === 'allow' ? [...judged.decision.rules] : [],
    state: 'signing' as const,
    replaces,
    lease,
    leaseUntil: sql`clock_timestamp() + make_interval(secs => ${LEASE_SECONDS})`,
    intendedAt: snapshot.now,
  }
  await tx.insert(requests).values(held).onConflictDoUpdate({ target: requests.id, set: held })
  const entries: AuditEntry[] = [
    ...supersedes.map(
      (rival) => ({ kind: 'request.superseded', request: rival.id, by: requestId }) as const,
    ),
    { kind: 'request.proposed', request: requestId, ...judged },
    {
      kind: 'signature.intended',
      request: requestId,
      lease,
      digest: input.digest,
      keyDid: input.subject.key.did,
      replaces,
    },
  ]
  await append(tx, snapshot.now, entries)
  const limits = judged.decision.kind === 'allow' ? judged.decision.limits : []
  return { kind: 'claimed', authorized, lease, limits } as const
}

async function supersede(tx: Transaction, rivals: readonly StoredRequest[]): Promise<void> {
  if (rivals.length === 0) return
  await tx
    .update(requests)
    .set({ state: 'superseded', lease: null, leaseUntil: null })
    .where(
      inArray(
        requests.id,
        rivals.map((rival) => rival.id),
      ),
    )
}

function requestColumns(id: string, { subject, bytes, digest }: ClaimInput, createdAt: Date) {
  return {
    id,
    caller: subject.caller,
    keyId: subject.key.id,
    digest,
    unsigned: bytes,
    prev: subject.operation.prev,
    replaces: [],
    createdAt,
  }
}
