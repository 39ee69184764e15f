import { and, count, eq, inArray, isNull, sql } from 'drizzle-orm'
import type { RequestState } from '../custody/request.ts'
import type { Database } from './database.ts'
import { identities, requests, submissions } from './schema.ts'

/** The states of the partial index `requests_waiting`: others are as many as there were signatures. */
const waitingStates: RequestState[] = ['proposed', 'approved', 'submitted']

export type StoredBacklog = {
  readonly waiting: ReadonlyMap<string, number>
  readonly identities: number
  readonly oldestUnconfirmedSeconds: number | null
}

/** What waits, for the metrics. Three counts over small indexes and one over all identities. */
export async function readBacklog(db: Database): Promise<StoredBacklog> {
  const counted = await db
    .select({ state: requests.state, requests: count() })
    .from(requests)
    .where(inArray(requests.state, waitingStates))
    .groupBy(requests.state)
  const [unconfirmed] = await db
    .select({
      seconds: sql<
        number | null
      >`extract(epoch from clock_timestamp() - min(${submissions.sentAt}))::float8`,
    })
    .from(submissions)
    .innerJoin(requests, eq(requests.id, submissions.requestId))
    .where(and(eq(requests.state, 'submitted'), isNull(submissions.confirmedAt)))
  const found = new Map<string, number>(counted.map((row) => [row.state, row.requests]))
  return {
    waiting: new Map(waitingStates.map((state) => [state, found.get(state) ?? 0])),
    identities: await db.$count(identities),
    oldestUnconfirmedSeconds: unconfirmed?.seconds ?? null,
  }
}
