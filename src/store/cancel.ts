import { and, eq, inArray, sql } from 'drizzle-orm'
import type { Cancel, CancelResult } from '../custody/cancel.ts'
import type { RequestState } from '../custody/request.ts'
import { orBusy } from './database.ts'
import type { Database } from './database.ts'
import { append } from './outbox.ts'
import { requests } from './schema.ts'

/** No key has been used for these, and none is being used. */
const cancellable: RequestState[] = ['proposed', 'approved']

type Own = Parameters<Cancel>[0]

export function createCancel(db: Database): Cancel {
  return async (input) => await orBusy(() => cancel(db, input))
}

/** A claim that takes the same row either finds it cancelled, or is found here as `signing`. */
async function cancel(db: Database, input: Own): Promise<CancelResult> {
  const own = and(eq(requests.id, input.requestId), eq(requests.caller, input.caller))
  return await db.transaction(async (tx) => {
    const [row] = await tx
      .update(requests)
      .set({ state: 'cancelled' })
      .where(and(own, inArray(requests.state, cancellable)))
      .returning({ at: sql<Date>`clock_timestamp()`.mapWith(requests.createdAt) })
    if (row !== undefined) {
      await append(tx, row.at, [{ kind: 'request.cancelled', request: input.requestId }])
      return { kind: 'cancelled' }
    }
    const [found] = await tx.select({ state: requests.state }).from(requests).where(own)
    if (found === undefined) return { kind: 'not-found' }
    return found.state === 'cancelled' ? { kind: 'cancelled' } : { kind: 'conflict', ...found }
  })
}
