import type { PoolClient, QueryConfig } from 'pg'
import type { Asked, ClaimInput, ClaimSnapshot, StoredRequest } from '../custody/ports.ts'
import { MAX_OPEN_OF_CALLER } from '../custody/request.ts'
import type { Limit } from '../policy/policy-set.ts'
import type { Sealer } from '../sealing/sealer.ts'
import { readAsked } from './asked.ts'
import { StoreError } from './error.ts'
import { refuseEnded } from './look-up.ts'
import { checkedCounts, checkHeld } from './own-signatures.ts'
import type { OwnSignatures, Seen } from './own-signatures.ts'
import { requestColumns, sealedRequest } from './stored-request.ts'
import type { RequestRow } from './stored-request.ts'

type Deps = {
  readonly client: PoolClient
  readonly sealer: Sealer
  readonly own: OwnSignatures
}

/** Far more than can count: all but the newest few have ended. */
const SAME_LIMIT = 16
/** Of what waits about one identity; one is the rule, and more only makes the answer a no. */
const OPEN_LIMIT = 16

/**
 * For each input its counts, and the requests that matter: those for the same bytes, and those that
 * hold its `prev` or have had a signature on it replaced. A claim that lives counts like the operation
 * that it is about to be. Replaced ones come first in the list of the
 * same bytes, so that no number of later denials pushes one out of it. The clock is read after the
 * locks are held: a claim that waited is judged by the time it got on.
 */
const snapshotStatement = {
  name: 'holdfast_claim_snapshot',
  text: `
    with clock as materialized (select clock_timestamp() as now)
    select input.index, clock.now, counts.hour, counts.day, counts.week, asked.open, found.*
    from unnest($1::int[], $2::bytea[], $3::text[], $4::text[], $5::text[], $6::text[])
      as input (index, digest, caller, key_id, did, prev)
    cross join clock
    cross join lateral (
      select
        (count(*) filter (where at > clock.now - interval '1 hour'))::int as hour,
        (count(*) filter (where at > clock.now - interval '1 day'))::int as day,
        count(*)::int as week
      from (
        select recorded_at from operations
        where operations.did = input.did and not nullified
          and recorded_at > clock.now - interval '7 days'
        union all
        select clock.now from requests
        where requests.did = input.did and state = 'signing' and digest <> input.digest
          and lease_until > clock.now
      ) counted (at)
    ) counts
    cross join lateral (
      select count(*)::int as open from (
        select from requests where caller = input.caller and state = 'proposed'
        limit ${MAX_OPEN_OF_CALLER + 1}
      ) waiting
    ) asked
    left join lateral (
      (
        select ${requestColumns} from requests
        where digest = input.digest and caller = input.caller and key_id = input.key_id
        order by (state = 'superseded' and signature is not null) desc, created_at desc
        limit ${SAME_LIMIT}
      )
      union all
      (
        select ${requestColumns} from requests
        where digest = input.digest and prev is null
          and (caller <> input.caller or key_id <> input.key_id)
          and (state in ('signing', 'returned', 'submitted')
            or (state = 'superseded' and signature is not null))
      )
      union all
      (
        select ${requestColumns} from requests
        where did = input.did and prev = input.prev
          and (digest <> input.digest or caller <> input.caller or key_id <> input.key_id)
          and (state in ('signing', 'returned', 'submitted')
            or (state = 'superseded' and signature is not null))
      )
      union all
      (
        select ${requestColumns} from requests
        where did = input.did and caller = input.caller and digest <> input.digest
          and state in ('proposed', 'approved')
        limit ${OPEN_LIMIT}
      )
    ) found on true`,
}

type SnapshotRow = Partial<RequestRow> & {
  index: number
  now: Date
  hour: number
  day: number
  week: number
  open: number
}

/** One snapshot for each input, in their order; an error for one whose rows are not as they were written. */
export async function readSnapshots(
  { client, sealer, own }: Deps,
  inputs: readonly ClaimInput[],
): Promise<(ClaimSnapshot | StoreError)[]> {
  const seen = inputs.map((input) => own.seen(input))
  const sent = new Date()
  const { rows } = await client.query<SnapshotRow>({
    ...snapshotStatement,
    values: [
      inputs.map((_, index) => index),
      inputs.map(({ digest }) => digest),
      inputs.map(({ subject }) => subject.caller),
      inputs.map(({ subject }) => subject.key.id),
      inputs.map(({ subject }) => subject.previous?.did ?? null),
      inputs.map(({ subject }) => subject.operation.prev),
    ],
  })
  const instanceNow = new Date()
  const byInput = Map.groupBy(rows, (row) => row.index)
  const snapshots: (ClaimSnapshot | StoreError)[] = []
  for (const [index, input] of inputs.entries()) {
    const mine = seen[index]!
    try {
      const found = toSnapshot(sealer, input, byInput.get(index) ?? [])
      await checkOwn({ client, sealer }, mine.here, found)
      const counts = await countRules(client, input)
      const snapshot = checkedCounts(mine, input, { ...found, ...counts })
      const asked = await readWaiting(client, sealer, snapshot)
      const clocksApart = apart(snapshot.now, { from: sent, to: instanceNow })
      snapshots.push({ ...snapshot, asked, instanceNow, clocksApart })
    } catch (error) {
      // The other calls of this transaction have nothing to do with it.
      if (!(error instanceof StoreError)) throw error
      snapshots.push(error)
    }
  }
  return snapshots
}

const ownStatement = {
  name: 'holdfast_claim_own',
  text: `
    select ${requestColumns} from requests where id = any($1::uuid[])
      and (state <> 'confirmed' or (
        exists (select from audit_outbox where kind = 'operation.confirmed' and subject = requests.id::text)
        or exists (select from audit_entries where look_up = 'operation.confirmed ' || requests.id::text)))`,
}

/**
 * Two signatures on one `prev` are two futures of one identity: what was signed here must be among what
 * the rows say of it. A confirmed one is not among them, and has its entry.
 */
async function checkOwn(
  { client, sealer }: Omit<Deps, 'own'>,
  signed: Seen['here'],
  { same, rivals, open }: FromRows,
): Promise<void> {
  const known = new Map([...same, ...rivals, ...open].map((request) => [request.id, request]))
  const others = signed.filter(({ id }) => !known.has(id)).map(({ id }) => id)
  if (others.length > 0) {
    const { rows } = await client.query<RequestRow>({ ...ownStatement, values: [others] })
    for (const row of rows) known.set(row.id, sealedRequest(sealer, row))
  }
  for (const one of signed) {
    const row = known.get(one.id)
    // Elsewhere than among these, only a confirmed one is where it should be.
    checkHeld(one, others.includes(one.id) && row?.state !== 'confirmed' ? undefined : row)
  }
}

/** Of ordinary calls none wait: then nobody asks for what officers said. */
async function readWaiting(
  client: PoolClient,
  sealer: Sealer,
  { same, open }: FromRows,
): Promise<Asked[]> {
  const found = [...same, ...open]
  await refuseEnded(
    client,
    found.filter(isOpen).map(({ id }) => id),
  )
  return await readAsked(
    client,
    sealer,
    found.filter((request) => isOpen(request) || request.state === 'signing'),
  )
}

type FromRows = Omit<ClaimSnapshot, keyof RuleCounts | 'asked' | 'instanceNow' | 'clocksApart'>

/**
 * How far Postgres's clock is from ours, in milliseconds: it was read between two moments of ours, so
 * that a slow answer is no difference.
 */
export function apart(database: Date, ours: { readonly from: Date; readonly to: Date }): number {
  const before = ours.from.getTime() - database.getTime()
  const after = database.getTime() - ours.to.getTime()
  return Math.max(0, before, after)
}

function toSnapshot(sealer: Sealer, input: ClaimInput, rows: readonly SnapshotRow[]): FromRows {
  const [first] = rows
  if (first === undefined) throw new TypeError('a snapshot has a row for every input')
  const { now, hour, day, week, open } = first
  const found = rows.flatMap((row) => (isRequestRow(row) ? [sealedRequest(sealer, row)] : []))
  const isSame = (request: StoredRequest) =>
    request.caller === input.subject.caller &&
    request.keyId === input.subject.key.id &&
    Buffer.from(request.digest).equals(input.digest)
  const newestFirst = (a: StoredRequest, b: StoredRequest) =>
    b.createdAt.getTime() - a.createdAt.getTime()
  return {
    now,
    operationCounts: { hour, day, week },
    same: found.filter(isSame).sort(newestFirst),
    rivals: found.filter((request) => !isSame(request) && !isOpen(request)),
    open: found.filter((request) => !isSame(request) && isOpen(request)),
    openOfCaller: open,
  }
}

/** It holds no `prev`: nothing was signed for it, and nobody is at it. */
function isOpen({ state }: StoredRequest): boolean {
  return state === 'proposed' || state === 'approved'
}

function isRequestRow(row: SnapshotRow): row is SnapshotRow & RequestRow {
  return typeof row.id === 'string'
}

// A claim that is taken over is counted as the one operation that it is: its own bytes are left out.
const counted = `
    select count(*)::int as count from requests
    where operation_class = any($1::text[]) and $2 = any(rules) and digest <> $3
      and state not in ('failed', 'cancelled')
      and intended_at > clock_timestamp() - make_interval(secs => $4)`
const countStatement = { name: 'holdfast_claim_count_rule', text: counted }
const countDidStatement = {
  name: 'holdfast_claim_count_rule_of_did',
  text: `${counted} and did = $5`,
}

type RuleCounts = Pick<ClaimSnapshot, 'ruleCounts' | 'didRuleCounts'>

async function countRules(client: PoolClient, input: ClaimInput): Promise<RuleCounts> {
  const ruleCounts: Record<string, number> = {}
  const didRuleCounts: Record<string, number> = {}
  for (const rule of input.limited) {
    const { global: ofAll, perDid } = rule.limits
    const values = (limit: Limit) => [[...rule.match.op], rule.id, input.digest, limit.seconds]
    if (ofAll !== null) {
      ruleCounts[rule.id] = await count(client, { ...countStatement, values: values(ofAll) })
    }
    if (perDid !== null) {
      didRuleCounts[rule.id] = await count(client, {
        ...countDidStatement,
        values: [...values(perDid), input.subject.previous?.did ?? null],
      })
    }
  }
  return { ruleCounts, didRuleCounts }
}

async function count(client: PoolClient, query: QueryConfig): Promise<number> {
  const { rows } = await client.query<{ count: number }>(query)
  return rows[0]?.count ?? 0
}
