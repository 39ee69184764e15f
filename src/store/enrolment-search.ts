import { desc, eq, max, and, sql } from 'drizzle-orm'
import type { AccountSearch } from '../custody/find-identity.ts'
import type { Sealer } from '../sealing/sealer.ts'
import { orBusy } from './database.ts'
import type { Database } from './database.ts'
import { atprotoKeyIn, identities, operations } from './schema.ts'
import { checkRow } from './seals.ts'

/** A PDS is asked no more often, by all instances together. */
const LISTING_SECONDS = 10
/** One run lists at most some thousands; a PDS that makes accounts up is stopped here. */
const MAX_LISTED = 100_000
/** A caller's reads: this many at once, earned back one in this many seconds. */
export const READ_BURST = 30
export const READ_SECONDS = 5

const beginStatement = {
  name: 'holdfast_search_begin',
  text: `
    insert into account_searches as search (caller, pds, asked_at)
    select $1, $2, clock_timestamp()
    where (select count(*) from listed_accounts where caller = $1) < ${MAX_LISTED}
    on conflict (caller) do update set pds = excluded.pds, asked_at = excluded.asked_at,
      cursor = case when search.pds = excluded.pds then search.cursor end
    where search.asked_at is null
      or search.asked_at < excluded.asked_at - interval '${LISTING_SECONDS} seconds'
    returning cursor`,
}

/**
 * Left out: what is in another caller's care, and what is in care with an operation, the newest that
 * we know of, that names this PDS. One in care that names another has left, and may be back.
 */
const keepStatement = {
  name: 'holdfast_search_keep',
  text: `
    with moved as (
      insert into account_searches as search (caller, pds, cursor) values ($1, $2, $3)
      on conflict (caller) do update set pds = excluded.pds, cursor = excluded.cursor
    )
    insert into listed_accounts (caller, did)
    select $1, page.did from unnest($4::text[]) with ordinality as page (did, position)
    where not exists (
      select from identities
      left join lateral (
        select bytes from operations
        where operations.did = identities.did and not nullified
        order by recorded_at desc limit 1
      ) newest on true
      where identities.did = page.did
        and (identities.caller <> $1 or position($5::bytea in newest.bytes) > 0)
    )
    order by page.position
    on conflict do nothing`,
}

const takeStatement = {
  name: 'holdfast_search_take',
  text: `
    update listed_accounts set reads = reads + 1
    where caller = $1 and did = (
      select did from listed_accounts where caller = $1 and did <> all($2::text[])
      order by reads, position desc limit 1 for update skip locked
    )
    returning did`,
}

/** A leaky bucket in one column: the time at which everything spent will be earned back. */
const payStatement = {
  name: 'holdfast_search_pay',
  text: `
    insert into account_searches as search (caller, reads_until)
    values ($1, clock_timestamp() + interval '${READ_SECONDS} seconds')
    on conflict (caller) do update set
      reads_until = greatest(search.reads_until, clock_timestamp()) + interval '${READ_SECONDS} seconds'
    where search.reads_until is null
      or search.reads_until <= clock_timestamp() + interval '${READ_SECONDS * (READ_BURST - 1)} seconds'
    returning clock_timestamp() as now`,
}

export function createAccountSearch(db: Database, sealer: Sealer): AccountSearch {
  const pool = db.$client
  return {
    inCareWith: async (caller, atproto, limit) =>
      await orBusy(async () => await inCareWith(db, sealer, { caller, atproto, limit })),
    beginListing: async (caller, pds) =>
      await orBusy(async () => {
        const { rows } = await pool.query<{ cursor: string | null }>({
          ...beginStatement,
          values: [caller, pds],
        })
        return rows[0] ?? null
      }),
    keepPage: async (caller, { pds, dids, cursor }) =>
      await orBusy(async () => {
        const values = [caller, pds, cursor, dids, Buffer.from(pds, 'utf8')]
        await pool.query({ ...keepStatement, values })
      }),
    takeListed: async (caller, except) =>
      await orBusy(async () => {
        const { rows } = await pool.query<{ did: string }>({
          ...takeStatement,
          values: [caller, except],
        })
        return rows[0]?.did ?? null
      }),
    payForRead: async (caller) =>
      await orBusy(async () => {
        const { rows } = await pool.query<{ now: Date }>({ ...payStatement, values: [caller] })
        return rows[0]?.now ?? null
      }),
  }
}

/** Such an identity is the caller's without another look at where it lives, so its row is proven here. */
async function inCareWith(
  db: Database,
  sealer: Sealer,
  { caller, atproto, limit }: { caller: string; atproto: string; limit: number },
): Promise<string[]> {
  const rows = await db
    .select({ did: operations.did, caller: identities.caller, seal: identities.seal })
    .from(operations)
    .innerJoin(identities, eq(identities.did, operations.did))
    .where(
      and(
        sql`${atprotoKeyIn(operations.bytes)} = ${Buffer.from(atproto, 'utf8')}`,
        eq(identities.caller, caller),
      ),
    )
    .groupBy(operations.did, identities.did)
    .orderBy(desc(max(operations.recordedAt)))
    .limit(limit)
  for (const row of rows) checkRow(sealer, 'identity', row)
  return rows.map(({ did }) => did)
}
