import { and, eq, sql } from 'drizzle-orm'
import type { Pool } from 'pg'
import { encodeEntry } from '../audit/entry.ts'
import type { AuditEntry } from '../audit/entry.ts'
import type { RequestStore } from '../custody/ports.ts'
import type { RequestState } from '../custody/request.ts'
import { cidOfEncoded, encodeSignedOperation } from '../plc/encode.ts'
import type { SignedOperation } from '../plc/operation.ts'
import type { CommittedIntent, VerifiedSignature } from '../signer/signer.ts'
import type { Sealer } from '../sealing/sealer.ts'
import { createBatcher } from './batch.ts'
import type { Database } from './database.ts'
import { append } from './outbox.ts'
import type { OwnSignatures } from './own-signatures.ts'
import { requests } from './schema.ts'
import { sealRow } from './seals.ts'
import { requestColumns, toStoredRequest } from './stored-request.ts'
import type { RequestRow } from './stored-request.ts'

type Outcome = {
  readonly signature: VerifiedSignature
  readonly did: string
  readonly operation: SignedOperation
  /** Who asked, as the door knows it; the row could say anybody. */
  readonly caller: string
}

/**
 * Only the lease's holder records, and only while it holds: a call that was suspended and woke up
 * later finds no row, and its signature is forgotten. Our own genesis is in care at once: its first
 * handle change may come before the directory shows it.
 */
const recordStatement = {
  name: 'holdfast_record',
  text: `
    with input as (
      select * from unnest($2::uuid[], $3::uuid[], $4::bytea[], $5::text[], $6::text[], $7::bytea[], $8::bytea[],
        $9::bytea[], $10::text[], $11::bytea[])
        as input (id, lease, signature, did, cid, operation, entry, seal, owner, owner_seal)
    ), recorded as (
      update requests
      set state = 'returned', lease = null, lease_until = null, signature = input.signature,
        did = input.did, cid = input.cid, produced_at = $1
      from input
      where requests.id = input.id and requests.lease = input.lease and requests.state = 'signing'
        and requests.lease_until > clock_timestamp()
      returning requests.*
    ), kept as (
      insert into operations (cid, did, bytes, request_id, nullified, recorded_at, seal)
      select input.cid, input.did, input.operation, input.id, false, $1, input.seal
      from input join recorded on recorded.id = input.id
      on conflict do nothing
    ), born as (
      insert into identities (did, caller, created_at, seal)
      select input.did, input.owner, $1, input.owner_seal
      from input join recorded on recorded.id = input.id
      where input.owner is not null
      on conflict do nothing
    ), entered as (
      insert into audit_outbox (kind, subject, body)
      select 'signature.produced', input.id::text, input.entry
      from input join recorded on recorded.id = input.id
    )
    select ${requestColumns} from recorded`,
}

/** Commits signatures, before anybody sees them; all that came while the last commit was under way. */
export function createRecord(
  pool: Pool,
  sealer: Sealer,
  own: OwnSignatures,
): RequestStore['record'] {
  const record = createBatcher({
    run: async (outcomes: readonly Outcome[]) => await recordAll({ pool, sealer, own }, outcomes),
  })
  return async (signature, signed) => await record({ signature, ...signed })
}

async function recordAll(
  {
    pool,
    sealer,
    own,
  }: { readonly pool: Pool; readonly sealer: Sealer; readonly own: OwnSignatures },
  outcomes: readonly Outcome[],
) {
  const { rows: clock } = await pool.query<{ now: Date }>('select clock_timestamp() as now')
  const now = clock[0]?.now
  if (now === undefined) throw new TypeError('the clock has a row')
  const inputs = outcomes.map((outcome) => toInput(sealer, outcome, now))
  const column = <K extends keyof (typeof inputs)[number]>(name: K) =>
    inputs.map((input) => input[name])
  const { rows } = await pool.query<RequestRow>({
    ...recordStatement,
    values: [
      now,
      column('id'),
      column('lease'),
      column('signature'),
      column('did'),
      column('cid'),
      column('operation'),
      column('entry'),
      column('seal'),
      column('owner'),
      column('ownerSeal'),
    ],
  })
  const recorded = new Map(rows.map((row) => [row.id, toStoredRequest(row)]))
  for (const { id, did } of inputs) if (recorded.has(id)) own.recorded(id, { did, at: now })
  return inputs.map(({ id }) => ({ status: 'fulfilled', value: recorded.get(id) ?? null }) as const)
}

function toInput(sealer: Sealer, outcome: Outcome, now: Date) {
  const { signature, did, operation, caller } = outcome
  const { intent, compact, home, requestId: providerRequestId } = signature
  const { requestId: id } = intent.authorized
  const encoded = encodeSignedOperation(operation)
  const cid = cidOfEncoded(encoded)
  const entry = encodeEntry(
    {
      kind: 'signature.produced',
      request: id,
      lease: intent.lease,
      did,
      cid,
      signature: compact,
      home,
      providerRequestId,
    },
    now,
  )
  return {
    id,
    lease: intent.lease,
    signature: compact,
    did,
    cid,
    operation: encoded,
    entry: entry.body,
    seal: sealRow(sealer, 'operation', { cid, did, recordedAt: now, requestId: id }),
    // A genesis: its identity is in care from now on.
    owner: operation.prev === null ? caller : null,
    ownerSeal: operation.prev === null ? sealRow(sealer, 'identity', { did, caller }) : null,
  }
}

/** Lets a claim go whose key was certainly not used, or gave nothing that may be released. */
export async function fail(db: Database, intent: CommittedIntent, reason: string): Promise<void> {
  await letGo(db, intent, {
    to: { state: 'failed' },
    entry: (request) => ({ kind: 'request.failed', request, reason }),
  })
}

/** Back to where it was before the claim: a crash before this commit leaves a lease that ends by itself. */
export async function postpone(
  db: Database,
  intent: CommittedIntent,
  reason: string,
): Promise<void> {
  await letGo(db, intent, {
    to: { state: 'approved', intendedAt: null },
    entry: (request) => ({
      kind: 'signature.postponed',
      request,
      lease: intent.lease,
      reason,
    }),
  })
}

async function letGo(
  db: Database,
  intent: CommittedIntent,
  end: {
    readonly to: { readonly state: RequestState; readonly intendedAt?: null }
    readonly entry: (request: string) => AuditEntry
  },
): Promise<void> {
  await db.transaction(async (tx) => {
    const [row] = await tx
      .update(requests)
      .set({ ...end.to, lease: null, leaseUntil: null })
      .where(
        and(
          eq(requests.id, intent.authorized.requestId),
          eq(requests.lease, intent.lease),
          eq(requests.state, 'signing'),
        ),
      )
      .returning({ id: requests.id, at: sql<Date>`clock_timestamp()`.mapWith(requests.createdAt) })
    if (row === undefined) return
    await append(tx, row.at, [end.entry(row.id)])
  })
}
