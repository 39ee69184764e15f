import { createHash } from 'node:crypto'
import { and, desc, eq, getTableColumns, sql } from 'drizzle-orm'
import { alias } from 'drizzle-orm/pg-core'
import type { StoredRequest } from '../custody/ports.ts'
import type { RequestState } from '../custody/request.ts'
import type { KeptRequest } from '../custody/sign-request.ts'
import type { Sealer } from '../sealing/sealer.ts'
import { orBusy } from './database.ts'
import type { Database } from './database.ts'
import { operations, quorums, requests, submissions } from './schema.ts'
import { checkRow } from './seals.ts'
import { storedRequest } from './stored-request.ts'

/** A request with what is shown of it beyond its own row. */
export type ShownRequest = {
  readonly request: StoredRequest
  /** The bytes of the signed operation that its `prev` names, for showing what it changes. */
  readonly previous: Uint8Array | null
  /** The directory's last answer; null: it was never submitted from here. */
  readonly submission: typeof submissions.$inferSelect | null
}

export type RequestQuery = {
  /** null: an officer, who sees what officers were asked about, of any caller. */
  readonly caller: string | null
  readonly state: RequestState | null
  /** The id of the request that the page before ended with. */
  readonly after: string | null
  readonly limit: number
}

function seenBy(caller: string | null) {
  return caller === null ? asked : eq(requests.caller, caller)
}

const asked = sql`exists (select from ${quorums} where ${quorums.requestId} = ${requests.id})`

/** A caller's own requests, newest first. */
export async function listRequests(
  db: Database,
  sealer: Sealer,
  query: RequestQuery,
): Promise<ShownRequest[]> {
  const { caller, state, after, limit } = query
  const last = alias(requests, 'last')
  const behind = sql`(${requests.createdAt}, ${requests.id}) < (
    select ${last.createdAt}, ${last.id} from ${requests} ${sql.identifier('last')}
    where ${last.id} = ${after} and (${last.caller} = ${caller} or ${caller}::text is null)
  )`
  const rows = await orBusy(() =>
    shown(db)
      .where(
        and(
          seenBy(caller),
          state === null ? undefined : eq(requests.state, state),
          after === null ? undefined : behind,
        ),
      )
      .orderBy(desc(requests.createdAt), desc(requests.id))
      .limit(limit),
  )
  return rows.map((row) => toShown(sealer, row))
}

/** null when there is none of this id, or it is another caller's; `any`: for an officer, whoever asked or was asked. */
export async function readRequest(
  db: Database,
  sealer: Sealer,
  { caller, id, any = false }: { caller: string | null; id: string; any?: boolean },
): Promise<ShownRequest | null> {
  const seen = caller === null && any ? undefined : seenBy(caller)
  const [row] = await orBusy(() => shown(db).where(and(eq(requests.id, id), seen)))
  return row === undefined ? null : toShown(sealer, row)
}

/**
 * What is signed of a request: null when there is none of this id, or it is another caller's. Its bytes
 * are the ones that this caller asked for: whoever writes rows would choose what it signs.
 * @throws StoreError `row-tampered`
 */
export async function findKeptRequest(
  db: Database,
  sealer: Sealer,
  { caller, requestId }: { caller: string; requestId: string },
): Promise<KeptRequest | null> {
  const [row] = await orBusy(() =>
    db
      .select()
      .from(requests)
      .where(and(eq(requests.id, requestId), eq(requests.caller, caller))),
  )
  if (row === undefined) return null
  checkRow(sealer, 'request', {
    ...row,
    digest: createHash('sha256').update(row.unsigned).digest(),
  })
  return row
}

function shown(db: Database) {
  return db
    .select({
      request: getTableColumns(requests),
      previous: operations.bytes,
      submission: submissions,
    })
    .from(requests)
    .leftJoin(operations, eq(operations.cid, requests.prev))
    .leftJoin(submissions, eq(submissions.requestId, requests.id))
    .$dynamic()
}

/** A signature is shown to whoever asked for it. @throws StoreError `row-tampered` */
function toShown(
  sealer: Sealer,
  row: Omit<ShownRequest, 'request'> & { request: typeof requests.$inferSelect },
): ShownRequest {
  checkRow(sealer, 'request', row.request)
  return { ...row, request: storedRequest(row.request) }
}
