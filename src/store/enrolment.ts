import type { PoolClient } from 'pg'
import { encodeEntry } from '../audit/entry.ts'
import type { EnrolmentStore, Enrolled, Standing } from '../custody/enroll.ts'
import { encodeSignedOperation } from '../plc/encode.ts'
import type { VerifiedLog } from '../plc/log.ts'
import { orBusy } from './database.ts'
import type { Database } from './database.ts'
import { underLocks } from './transaction.ts'

const adoptStatement = {
  name: 'holdfast_enroll_adopt',
  text: `
    insert into identities (did, caller, created_at)
    select did, $2, clock_timestamp() from unnest($1::text[]) as input (did)
    on conflict do nothing
    returning did, created_at as at`,
}

/** Held until the commit: of two callers that enrol one identity at once, the second is told. */
const ownStatement = {
  name: 'holdfast_enroll_own',
  text: `select did from identities where did = any($1::text[]) and caller = $2 order by did for update`,
}

/**
 * What was once seen nullified stays so: a verified log that does not know of the fork is an older
 * one. An operation that we signed keeps the time of its record.
 */
const keepStatement = {
  name: 'holdfast_enroll_keep',
  text: `
    insert into operations (cid, did, bytes, nullified, recorded_at)
    select * from unnest($1::text[], $2::text[], $3::bytea[], $4::bool[], $5::timestamptz[])
    on conflict (cid) do update set nullified = true
    where excluded.nullified and not operations.nullified`,
}

const enterStatement = {
  name: 'holdfast_enroll_enter',
  text: `
    with found as (
      delete from listed_accounts where caller = $1 and did = any($2::text[])
    )
    insert into audit_outbox (kind, subject, body)
    select kind, subject, body from unnest($3::text[], $4::text[], $5::bytea[])
      with ordinality as entry (kind, subject, body, position)
    order by position`,
}

const standingStatement = {
  name: 'holdfast_enroll_standing',
  text: `
    select input.did, identities.caller = $1 as own, operations.cid is not null as known
    from unnest($2::text[], $3::text[]) as input (did, head)
    join identities on identities.did = input.did
    left join operations on operations.did = input.did and operations.cid = input.head`,
}

/** Takes verified logs into care: all of a batch in one transaction, or nothing of it. */
export function createEnrolmentStore({ $client: pool }: Pick<Database, '$client'>): EnrolmentStore {
  return {
    enrollAll: async (logs, caller) =>
      await orBusy(
        async () => await underLocks(pool, [], async (client) => await keep(client, logs, caller)),
      ),
    standing: async (caller, heads) =>
      await orBusy(async () => {
        const { rows } = await pool.query<{ did: string; own: boolean; known: boolean }>({
          ...standingStatement,
          values: [caller, heads.map(({ did }) => did), heads.map(({ head }) => head)],
        })
        return new Map(rows.map((row) => [row.did, standingOf(row)]))
      }),
  }
}

function standingOf({ own, known }: { own: boolean; known: boolean }): Standing {
  if (!own) return 'foreign'
  return known ? 'known' : 'in-care'
}

async function keep(
  client: PoolClient,
  logs: readonly VerifiedLog[],
  caller: string,
): Promise<ReadonlyMap<string, Enrolled>> {
  // In one order everywhere, so that two batches never wait for each other.
  const sorted = [...logs].sort((a, b) => (a.did < b.did ? -1 : 1))
  const dids = sorted.map(({ did }) => did)
  const adopted = await adopt(client, dids, caller)
  const { rows } = await client.query<{ did: string }>({ ...ownStatement, values: [dids, caller] })
  const own = new Set(rows.map(({ did }) => did))
  const kept = sorted.filter(({ did }) => own.has(did))
  await keepOperations(client, kept)
  const entries = kept.flatMap(({ did, head }) => {
    const at = adopted.get(did)
    return at === undefined
      ? []
      : [encodeEntry({ kind: 'did.enrolled', did, caller, head: head.cid }, at)]
  })
  await client.query({
    ...enterStatement,
    values: [
      caller,
      [...own],
      entries.map(({ kind }) => kind),
      entries.map(({ subject }) => subject),
      entries.map(({ body }) => body),
    ],
  })
  const outcomeOf = (did: string): Enrolled => {
    if (!own.has(did)) return 'foreign'
    return adopted.has(did) ? 'enrolled' : 'refreshed'
  }
  return new Map(dids.map((did) => [did, outcomeOf(did)]))
}

async function adopt(
  client: PoolClient,
  dids: readonly string[],
  caller: string,
): Promise<Map<string, Date>> {
  const { rows } = await client.query<{ did: string; at: Date }>({
    ...adoptStatement,
    values: [dids, caller],
  })
  return new Map(rows.map(({ did, at }) => [did, at]))
}

const ROWS_PER_INSERT = 1_000

async function keepOperations(client: PoolClient, logs: readonly VerifiedLog[]): Promise<void> {
  const rows = logs.flatMap(({ did, entries }) => entries.map((entry) => ({ did, entry })))
  for (let start = 0; start < rows.length; start += ROWS_PER_INSERT) {
    const part = rows.slice(start, start + ROWS_PER_INSERT)
    await client.query({
      ...keepStatement,
      values: [
        part.map(({ entry }) => entry.cid),
        part.map(({ did }) => did),
        part.map(({ entry }) => encodeSignedOperation(entry.operation)),
        part.map(({ entry }) => entry.nullified),
        part.map(({ entry }) => entry.createdAt),
      ],
    })
  }
}
