import type { PoolClient } from 'pg'
import { encodeEntry } from '../audit/entry.ts'
import type { EnrolmentStore, Enrolled, Standing } from '../custody/enroll.ts'
import { encodeSignedOperation } from '../plc/encode.ts'
import type { VerifiedLog } from '../plc/log.ts'
import type { Sealer } from '../sealing/sealer.ts'
import { orBusy } from './database.ts'
import type { Database } from './database.ts'
import { checkRow, sealRow } from './seals.ts'
import { underLocks } from './transaction.ts'

const adoptStatement = {
  name: 'holdfast_enroll_adopt',
  text: `
    insert into identities (did, caller, created_at, seal)
    select did, $2, clock_timestamp(), seal
    from unnest($1::text[], $3::bytea[]) as input (did, seal)
    on conflict do nothing
    returning did, created_at as at`,
}

/**
 * Held until the commit: of two callers that enrol one identity at once, the second is told. Whose they
 * are is proven, and not made good here: whoever wrote such a row would have it sealed by us.
 */
const ownStatement = {
  name: 'holdfast_enroll_own',
  text: `select did, caller, seal from identities where did = any($1::text[]) order by did for update`,
}

/**
 * What was once seen nullified stays so: a verified log that does not know of the fork is an older
 * one. An operation that we signed keeps the time of its record.
 */
const keepStatement = {
  name: 'holdfast_enroll_keep',
  text: `
    insert into operations (cid, did, bytes, nullified, recorded_at, seal)
    select * from unnest($1::text[], $2::text[], $3::bytea[], $4::bool[], $5::timestamptz[], $6::bytea[])
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
export function createEnrolmentStore(
  { $client: pool }: Pick<Database, '$client'>,
  sealer: Sealer,
): EnrolmentStore {
  return {
    enrollAll: async (logs, caller) =>
      await orBusy(
        async () =>
          await underLocks(
            pool,
            [],
            async (client) => await keep({ client, sealer }, logs, caller),
          ),
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

type Deps = { readonly client: PoolClient; readonly sealer: Sealer }

async function keep(
  deps: Deps,
  logs: readonly VerifiedLog[],
  caller: string,
): Promise<ReadonlyMap<string, Enrolled>> {
  const { client } = deps
  // In one order everywhere, so that two batches never wait for each other.
  const sorted = [...logs].sort((a, b) => (a.did < b.did ? -1 : 1))
  const dids = sorted.map(({ did }) => did)
  const adopted = await adopt(deps, dids, caller)
  const own = await ownAmong(deps, dids, caller)
  const kept = sorted.filter(({ did }) => own.has(did))
  await keepOperations(deps, kept)
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

async function ownAmong(
  { client, sealer }: Deps,
  dids: readonly string[],
  caller: string,
): Promise<ReadonlySet<string>> {
  const { rows } = await client.query<{ did: string; caller: string; seal: Buffer }>({
    ...ownStatement,
    values: [dids],
  })
  for (const row of rows) checkRow(sealer, 'identity', row)
  return new Set(rows.filter((row) => row.caller === caller).map(({ did }) => did))
}

async function adopt(
  { client, sealer }: Deps,
  dids: readonly string[],
  caller: string,
): Promise<Map<string, Date>> {
  const { rows } = await client.query<{ did: string; at: Date }>({
    ...adoptStatement,
    values: [dids, caller, dids.map((did) => sealRow(sealer, 'identity', { did, caller }))],
  })
  return new Map(rows.map(({ did, at }) => [did, at]))
}

const ROWS_PER_INSERT = 1_000

async function keepOperations(
  { client, sealer }: Deps,
  logs: readonly VerifiedLog[],
): Promise<void> {
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
        part.map(({ did, entry: { cid, createdAt: recordedAt } }) =>
          sealRow(sealer, 'operation', { cid, did, recordedAt, requestId: null }),
        ),
      ],
    })
  }
}
