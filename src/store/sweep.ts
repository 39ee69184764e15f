import { and, eq, inArray, lt, sql } from 'drizzle-orm'
import { termsOf } from '../approval/matter.ts'
import type { RequestState } from '../custody/request.ts'
import { orBusy } from './database.ts'
import type { Database } from './database.ts'
import { append } from './outbox.ts'
import { denialCounts, officerCalls, quorums, requests } from './schema.ts'

/** Looked at in one run; the next one goes on. */
const SWEPT_PER_RUN = 1_000
const waiting: RequestState[] = ['proposed', 'approved']

export type Swept = { readonly expired: number; readonly counted: number }

/**
 * What time alone ends: requests that officers did not agree to, or nobody had signed; minutes whose
 * denials were only counted; officers' calls that nobody could repeat any more. Tidiness, not a check:
 * whoever asks is judged by the clocks.
 */
export async function sweep(db: Database): Promise<Swept> {
  return await orBusy(async () => {
    const expired = await expireRequests(db)
    const counted = await enterDenials(db)
    await db.delete(officerCalls).where(lt(officerCalls.until, sql`clock_timestamp()`))
    return { expired, counted }
  })
}

async function expireRequests(db: Database): Promise<number> {
  const rows = await db
    .select({
      request: requests,
      now: sql<Date>`clock_timestamp()`.mapWith(requests.createdAt),
    })
    .from(requests)
    .innerJoin(quorums, eq(quorums.requestId, requests.id))
    .where(inArray(requests.state, waiting))
    .orderBy(requests.createdAt)
    .limit(SWEPT_PER_RUN)
  let expired = 0
  for (const { request, now } of rows) {
    if (isOver(request, now) && (await expire(db, request.id, request.state))) expired += 1
  }
  return expired
}

function isOver({ decision, state, createdAt }: typeof requests.$inferSelect, now: Date): boolean {
  if (decision.kind !== 'require') return false
  const { approveBy, executeBy } = termsOf(decision.requirements, createdAt)
  return now.getTime() / 1000 >= (state === 'proposed' ? approveBy : executeBy)
}

async function expire(db: Database, id: string, from: RequestState): Promise<boolean> {
  return await db.transaction(async (tx) => {
    const [row] = await tx
      .update(requests)
      .set({ state: 'expired' })
      .where(and(eq(requests.id, id), eq(requests.state, from)))
      .returning({ at: sql<Date>`clock_timestamp()`.mapWith(requests.createdAt) })
    if (row === undefined) return false
    await append(tx, row.at, [{ kind: 'request.expired', request: id }])
    return true
  })
}

/** Minutes that are over, each as one entry. */
async function enterDenials(db: Database): Promise<number> {
  return await db.transaction(async (tx) => {
    const over = await tx
      .delete(denialCounts)
      .where(lt(denialCounts.minute, sql`date_trunc('minute', clock_timestamp())`))
      .returning({
        caller: denialCounts.caller,
        minute: denialCounts.minute,
        count: denialCounts.count,
        at: sql<Date>`clock_timestamp()`.mapWith(denialCounts.minute),
      })
    for (const { caller, minute, count, at } of over) {
      const entry = { kind: 'denials.counted', caller, minute: minute.getTime(), count } as const
      await append(tx, at, [entry])
    }
    return over.length
  })
}
