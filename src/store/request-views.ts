import { and, desc, eq, getTableColumns, sql } from 'drizzle-orm'
import { alias } from 'drizzle-orm/pg-core'
import type { StoredRequest } from '../custody/ports.ts'
import type { RequestState } from '../custody/request.ts'
import type { Database } from './database.ts'
import { operations, requests } from './schema.ts'
import { storedRequest } from './stored-request.ts'

/** A request with the bytes of the signed operation that its `prev` names, for showing what it changes. */
export type ShownRequest = { readonly request: StoredRequest; readonly previous: Uint8Array | null }

export type RequestQuery = {
  readonly caller: string
  readonly state: RequestState | null
  /** The id of the request that the page before ended with. */
  readonly after: string | null
  readonly limit: number
}

/** A caller's own requests, newest first. */
export async function listRequests(db: Database, query: RequestQuery): Promise<ShownRequest[]> {
  const { caller, state, after, limit } = query
  const last = alias(requests, 'last')
  const behind = sql`(${requests.createdAt}, ${requests.id}) < (
    select ${last.createdAt}, ${last.id} from ${requests} ${sql.identifier('last')}
    where ${last.id} = ${after} and ${last.caller} = ${caller}
  )`
  const rows = await shown(db)
    .where(
      and(
        eq(requests.caller, caller),
        state === null ? undefined : eq(requests.state, state),
        after === null ? undefined : behind,
      ),
    )
    .orderBy(desc(requests.createdAt), desc(requests.id))
    .limit(limit)
  return rows.map(toShown)
}

/** null when there is none of this id, or it is another caller's. */
export async function readRequest(
  db: Database,
  { caller, id }: { caller: string; id: string },
): Promise<ShownRequest | null> {
  const [row] = await shown(db).where(and(eq(requests.id, id), eq(requests.caller, caller)))
  return row === undefined ? null : toShown(row)
}

function shown(db: Database) {
  return db
    .select({ request: getTableColumns(requests), previous: operations.bytes })
    .from(requests)
    .leftJoin(operations, eq(operations.cid, requests.prev))
    .$dynamic()
}

function toShown(row: {
  request: typeof requests.$inferSelect
  previous: Uint8Array | null
}): ShownRequest {
  return { request: storedRequest(row.request), previous: row.previous }
}
