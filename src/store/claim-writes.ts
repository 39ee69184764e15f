import type { PoolClient } from 'pg'
import type { EncodedEntry } from '../audit/entry.ts'
import type { RequestState } from '../custody/request.ts'
import type { Decision } from '../policy/evaluate.ts'
import type { OperationClass } from '../policy/policy-set.ts'
import type { Sealer } from '../sealing/sealer.ts'
import { writeAsked } from './asked.ts'
import type { AskedWrite } from './asked.ts'
import { sealRow } from './seals.ts'

/** Longer than the key's own deadline (5 s): a call that lives can always record. */
export const LEASE_SECONDS = 10

/** A request row to insert, or to take over where its id is there already. */
export type RequestWrite = {
  readonly id: string
  readonly caller: string
  readonly keyId: string
  readonly digest: Uint8Array
  readonly unsigned: Uint8Array
  readonly did: string | null
  readonly prev: string | null
  readonly operationClass: OperationClass
  readonly state: RequestState
  readonly decision: Decision
  readonly rules: readonly string[]
  readonly policy: Uint8Array
  readonly replaces: readonly string[]
  readonly lease: string | null
  readonly createdAt: Date
  readonly intendedAt: Date | null
}

/** A request that ends here, from the state in which it was judged. */
export type Ended = {
  readonly id: string
  readonly from: RequestState
  readonly to: 'superseded' | 'expired'
}

/** Between the snapshot and this write a call recorded that was believed dead. Judge again. */
export class ClaimConflict extends Error {
  override readonly name = 'ClaimConflict'
}

const endStatement = {
  name: 'holdfast_claim_end',
  text: `
    update requests set state = ended.becomes, lease = null, lease_until = null
    from unnest($1::uuid[], $2::text[], $3::text[]) as ended (id, state, becomes)
    where requests.id = ended.id and requests.state = ended.state
      and (requests.lease_until is null or requests.lease_until <= clock_timestamp())`,
}

const writeStatement = {
  name: 'holdfast_claim_write',
  text: `
    with written as (
      insert into requests (id, caller, key_id, digest, unsigned, did, prev, operation_class, state,
        decision, rules, policy, replaces, lease, lease_until, created_at, intended_at, seal)
      select id, caller, key_id, digest, unsigned, did, prev, operation_class, state,
        decision, rules::text[], policy, replaces::uuid[], lease,
        case when lease is not null then clock_timestamp() + interval '${LEASE_SECONDS} seconds' end,
        created_at, intended_at, seal
      from unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::bytea[], $6::text[], $7::text[],
        $8::text[], $9::text[], $10::jsonb[], $11::text[], $12::bytea[], $13::text[], $14::uuid[],
        $15::timestamptz[], $16::timestamptz[], $20::bytea[])
        as input (id, caller, key_id, digest, unsigned, did, prev, operation_class, state,
          decision, rules, policy, replaces, lease, created_at, intended_at, seal)
      on conflict (id) do update set operation_class = excluded.operation_class,
        state = excluded.state, decision = excluded.decision, rules = excluded.rules,
        policy = excluded.policy, replaces = excluded.replaces, lease = excluded.lease,
        lease_until = excluded.lease_until, intended_at = excluded.intended_at
      where requests.state in ('proposed', 'approved')
        or (requests.state = 'signing' and requests.lease_until <= clock_timestamp())
      returning id
    ), entered as (
      insert into audit_outbox (kind, subject, body)
      select kind, subject, body from unnest($17::text[], $18::text[], $19::bytea[])
        with ordinality as entry (kind, subject, body, position)
      order by position
    )
    select count(*)::int as written from written`,
}

/**
 * Ends what ends, writes the requests and appends the entries.
 * @throws ClaimConflict when a row is no longer as it was judged
 */
export async function write(
  client: PoolClient,
  sealer: Sealer,
  writes: {
    readonly requests: readonly RequestWrite[]
    readonly asked: readonly AskedWrite[]
    readonly ended: readonly Ended[]
    readonly entries: readonly EncodedEntry[]
  },
): Promise<void> {
  const { requests, asked, ended, entries } = writes
  if (ended.length > 0) {
    const { rowCount } = await client.query({
      ...endStatement,
      values: [ended.map(({ id }) => id), ended.map(({ from }) => from), ended.map(({ to }) => to)],
    })
    if (rowCount !== ended.length) throw new ClaimConflict('a rival has changed')
  }
  if (requests.length === 0) return
  const column = <K extends keyof RequestWrite>(name: K) => requests.map((request) => request[name])
  const { rows } = await client.query<{ written: number }>({
    ...writeStatement,
    values: [
      column('id'),
      column('caller'),
      column('keyId'),
      column('digest'),
      column('unsigned'),
      column('did'),
      column('prev'),
      column('operationClass'),
      column('state'),
      column('decision').map((decision) => JSON.stringify(decision)),
      column('rules').map(arrayLiteral),
      column('policy'),
      column('replaces').map(arrayLiteral),
      column('lease'),
      column('createdAt'),
      column('intendedAt'),
      entries.map(({ kind }) => kind),
      entries.map(({ subject }) => subject),
      entries.map(({ body }) => body),
      requests.map((request) => sealRow(sealer, 'request', request)),
    ],
  })
  if (rows[0]?.written !== requests.length) throw new ClaimConflict('a request has changed')
  for (const ask of asked) await writeAsked(client, sealer, ask)
}

/** A Postgres array in text, for rule ids and UUIDs: nothing in them needs quoting, and that is checked. */
function arrayLiteral(values: readonly string[]): string {
  if (values.some((value) => !/^[A-Za-z0-9-]+$/.test(value))) throw new TypeError('not an id')
  return `{${values.join(',')}}`
}
