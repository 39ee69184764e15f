import { decode } from '@ipld/dag-cbor'
import { sql } from 'drizzle-orm'
import type { FollowStore } from '../custody/compare.ts'
import type { EnrolmentStore } from '../custody/enroll.ts'
import type { Database } from './database.ts'
import { isOnRecord } from './look-up.ts'
import { append } from './outbox.ts'
import { followed, requests } from './schema.ts'

type Produced = { cid: string; id: string; body: Buffer }

/**
 * The record's own entries decide, not the rows beside them: whoever took an entry away left the row of
 * its signature behind, or did not.
 */
export function createFollowStore(
  db: Database,
  { enrollAll }: Pick<EnrolmentStore, 'enrollAll'>,
): FollowStore {
  return {
    cursor: async (directory) => {
      const [row] = await db
        .select()
        .from(followed)
        .where(sql`${followed.directory} = ${directory}`)
      return row?.cursor ?? null
    },
    inCare: async (dids) => {
      const { rows } = await db.execute<{ did: string; caller: string }>(
        sql`select did, caller from identities where did = any(${sql.param(dids)}::text[])`,
      )
      return new Map(rows.map(({ did, caller }) => [did, caller]))
    },
    outcomes: async (cids) => await outcomes(db, cids),
    ceremonial: async (cids) => await ceremonial(db, cids),
    reported: async (cids) => {
      const { rows } = await db.execute<{ cid: string }>(
        sql`select cid from unnest(${sql.param(cids)}::text[]) as input (cid)
          where ${isOnRecord('operation.foreign', sql`cid`)} or ${isOnRecord('operation.nullified', sql`cid`)}`,
      )
      return new Set(rows.map(({ cid }) => cid))
    },
    commit: async ({ directory, cursor, foreign, nullified, logs }) => {
      // What the identities are now: written over, it is the same.
      for (const { log, caller } of logs) await enrollAll([log], caller)
      await db.transaction(async (tx) => {
        const { rows } = await tx.execute<{ now: string }>(sql`select clock_timestamp() as now`)
        const now = requests.createdAt.mapFromDriverValue(rows[0]?.now ?? '') as Date
        const entries = [
          ...foreign.map(({ createdAt, deadline, ...rest }) => ({
            kind: 'operation.foreign' as const,
            ...rest,
            createdAt: createdAt.getTime(),
            deadline: deadline.getTime(),
          })),
          ...nullified.map((one) => ({ kind: 'operation.nullified' as const, ...one })),
        ]
        if (entries.length > 0) await append(tx, now, entries)
        await tx
          .insert(followed)
          .values({ directory, cursor })
          .onConflictDoUpdate({ target: followed.directory, set: { cursor } })
      })
    },
  }
}

/** Of ceremonies whose import is an entry. */
async function ceremonial(db: Database, cids: readonly string[]): Promise<Set<string>> {
  const { rows } = await db.execute<{ cid: string }>(sql`
    select cid from ceremony_operations
    where cid = any(${sql.param(cids)}::text[])
      and ${isOnRecord('ceremony.imported', sql`ceremony`)}`)
  return new Set(rows.map(({ cid }) => cid))
}

async function outcomes(db: Database, cids: readonly string[]): Promise<Map<string, string>> {
  const { rows } = await db.execute<Produced>(sql`
    select input.cid, requests.id, found.body
    from unnest(${sql.param(cids)}::text[]) as input (cid)
    join operations on operations.cid = input.cid
    join requests on requests.id = operations.request_id
    join lateral (
      select body from audit_entries where look_up = 'signature.produced ' || requests.id::text
      union all
      select body from audit_outbox
      where kind = 'signature.produced' and subject = requests.id::text
    ) found on true`)
  const named = rows.filter(
    ({ cid, body }) => decode<Record<string, unknown>>(new Uint8Array(body))['cid'] === cid,
  )
  const times = Map.groupBy(named, ({ cid }) => cid)
  return new Map(
    [...times].flatMap(([cid, found]) => {
      const [only] = found
      return found.length === 1 && only !== undefined ? [[cid, only.id] as const] : []
    }),
  )
}
