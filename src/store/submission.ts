import { and, asc, eq, inArray, ne, sql } from 'drizzle-orm'
import type { AuditEntry } from '../audit/entry.ts'
import type { RequestState } from '../custody/request.ts'
import type { FoundForSubmission, Submission, SubmissionStore } from '../custody/submit.ts'
import type { RecordedOperation } from '../directory/submit.ts'
import { attachSignature, cidOf, decodeUnsignedOperation } from '../plc/encode.ts'
import { orBusy } from './database.ts'
import type { Database, Transaction } from './database.ts'
import { StoreError } from './error.ts'
import { append } from './outbox.ts'
import { requests, submissions } from './schema.ts'

/** A signature in force that the directory's log has not settled. */
const unsettled: RequestState[] = ['returned', 'submitted']

/** How long an unanswered submission is looked for: longer than any write takes to show. */
const LOOKED_FOR = sql`interval '1 day'`

type Row = typeof requests.$inferSelect

export function createSubmissionStore(db: Database): SubmissionStore {
  return {
    find: async (query) => await orBusy(() => find(db, query)),
    keepOutcome: async (recorded, submission) =>
      await orBusy(() => keepOutcome(db, recorded, submission)),
    confirm: async (recorded) => await orBusy(() => confirm(db, recorded)),
    retire: async (recorded, head) => await orBusy(() => retire(db, recorded, head)),
    listOpen: async (limit) => await orBusy(() => listOpen(db, limit)),
    keepLook: async (recorded) => await orBusy(() => keepLook(db, recorded)),
  }
}

async function find(
  db: Database,
  { caller, requestId }: { caller: string; requestId: string },
): Promise<FoundForSubmission | null> {
  const [row] = await db
    .select()
    .from(requests)
    .where(and(eq(requests.id, requestId), eq(requests.caller, caller)))
  if (row === undefined) return null
  return { state: row.state, recorded: unsettled.includes(row.state) ? recordedOf(row) : null }
}

/**
 * The operation as it was signed, built again from the row's bytes.
 * @throws StoreError `row-tampered`
 */
function recordedOf({ id, unsigned, signature, did, cid }: Row): RecordedOperation {
  if (signature === null || did === null || cid === null) throw tampered(id)
  const operation = attachSignature(decodeUnsignedOperation(unsigned).operation, signature)
  if (cidOf(operation) !== cid) throw tampered(id)
  return Object.freeze({ requestId: id, did, cid, operation }) as RecordedOperation
}

function tampered(id: string): StoreError {
  return new StoreError('row-tampered', `request ${id} does not hold the operation of its CID`)
}

async function keepOutcome(
  db: Database,
  recorded: RecordedOperation,
  submission: Submission,
): Promise<void> {
  await db.transaction(async (tx) => {
    const to = submission.outcome === 'accepted' ? 'submitted' : null
    const at = await hold(tx, recorded, to)
    if (at === null) return
    const sent = { ...submission, sentAt: at, checkedAt: null, confirmedAt: null }
    await tx
      .insert(submissions)
      .values({ requestId: recorded.requestId, ...sent })
      .onConflictDoUpdate({ target: submissions.requestId, set: sent })
    await append(tx, at, [entryOf(recorded, submission)])
  })
}

async function confirm(db: Database, recorded: RecordedOperation): Promise<void> {
  await db.transaction(async (tx) => {
    const at = await hold(tx, recorded, 'confirmed')
    if (at === null) return
    await tx
      .update(submissions)
      .set({ checkedAt: at, confirmedAt: at })
      .where(eq(submissions.requestId, recorded.requestId))
    await append(tx, at, [{ kind: 'operation.confirmed', ...namesOf(recorded) }])
  })
}

async function retire(db: Database, recorded: RecordedOperation, head: string): Promise<void> {
  await db.transaction(async (tx) => {
    const at = await hold(tx, recorded, 'superseded')
    if (at === null) return
    await append(tx, at, [{ kind: 'request.superseded', request: recorded.requestId, head }])
  })
}

/** Moves a request on, or only locks its row; null when another call or instance settled it before. */
async function hold(
  tx: Transaction,
  { requestId, cid }: RecordedOperation,
  to: RequestState | null,
): Promise<Date | null> {
  const [row] = await tx
    .update(requests)
    .set({ state: to ?? sql`${requests.state}` })
    .where(
      and(eq(requests.id, requestId), eq(requests.cid, cid), inArray(requests.state, unsettled)),
    )
    .returning({ at: sql<Date>`clock_timestamp()`.mapWith(requests.createdAt) })
  return row?.at ?? null
}

async function listOpen(db: Database, limit: number): Promise<RecordedOperation[]> {
  const rows = await db
    .select({ request: requests })
    .from(submissions)
    .innerJoin(requests, eq(requests.id, submissions.requestId))
    .where(
      and(
        inArray(requests.state, unsettled),
        ne(submissions.outcome, 'refused'),
        sql`${submissions.confirmedAt} is null`,
        sql`(${requests.state} = 'submitted' or ${submissions.sentAt} > clock_timestamp() - ${LOOKED_FOR})`,
      ),
    )
    .orderBy(sql`${submissions.checkedAt} asc nulls first`, asc(submissions.sentAt))
    .limit(limit)
  return rows.map(({ request }) => recordedOf(request))
}

async function keepLook(db: Database, { requestId }: RecordedOperation): Promise<void> {
  await db
    .update(submissions)
    .set({ checkedAt: sql`clock_timestamp()` })
    .where(eq(submissions.requestId, requestId))
}

function namesOf({ requestId, did, cid }: RecordedOperation) {
  return { request: requestId, did, cid }
}

function entryOf(recorded: RecordedOperation, submission: Submission): AuditEntry {
  const names = namesOf(recorded)
  switch (submission.outcome) {
    case 'accepted':
      return { kind: 'submission.accepted', ...names }
    case 'refused':
      return { kind: 'submission.refused', ...names, status: submission.status ?? 0 }
    case 'unknown':
      return { kind: 'submission.unknown', ...names }
  }
}
