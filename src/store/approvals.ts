import { eq } from 'drizzle-orm'
import type { PoolClient } from 'pg'
import { encodeEntry } from '../audit/entry.ts'
import type { AuditEntry } from '../audit/entry.ts'
import type { ApprovalStore, Saying, SayingSnapshot, SayingVerdict } from '../custody/approve.ts'
import type { AskedRequest } from '../custody/asked-case.ts'
import type { StoredRequest } from '../custody/ports.ts'
import type { RequestState } from '../custody/request.ts'
import type { Sealer } from '../sealing/sealer.ts'
import { readAsked } from './asked.ts'
import { apart } from './claim-snapshot.ts'
import { orBusy } from './database.ts'
import type { Database } from './database.ts'
import { StoreError } from './error.ts'
import { refuseEnded } from './look-up.ts'
import { requests } from './schema.ts'
import { storedRequest } from './stored-request.ts'
import { underLocks } from './transaction.ts'

export function createApprovalStore(db: Database, sealer: Sealer): ApprovalStore {
  return {
    find: async (requestId) => await orBusy(async () => await find(db, sealer, requestId)),
    say: async (saying, decide) =>
      await orBusy(
        async () =>
          await underLocks(
            db.$client,
            [identityLock(saying.found.request)],
            async (client) => await say({ client, sealer }, saying, decide),
          ),
      ),
  }
}

/** The one that claims take: nobody signs while somebody says no. */
function identityLock({ did, digest }: StoredRequest): string {
  return `identity ${did ?? Buffer.from(digest).toString('hex')}`
}

async function find(db: Database, sealer: Sealer, id: string): Promise<AskedRequest | null> {
  const [row] = await db.select().from(requests).where(eq(requests.id, id))
  if (row === undefined) return null
  const request = storedRequest(row)
  const [asked] = await readAsked(db.$client, sealer, [request])
  return asked === undefined ? null : { request, asked }
}

type Deps = { readonly client: PoolClient; readonly sealer: Sealer }

async function say<T>(
  deps: Deps,
  saying: Saying,
  decide: (snapshot: SayingSnapshot) => SayingVerdict<T>,
): Promise<{ kind: 'kept' } | { kind: 'stopped'; value: T }> {
  const snapshot = await readSnapshot(deps, saying)
  // The same officer's same words again, as after an answer that was lost.
  if (snapshot.asked.said.some((raw) => sameBytes(raw.statement, statementOf(saying)))) {
    return { kind: 'kept' }
  }
  const verdict = decide(snapshot)
  if (verdict.kind === 'stop') return { kind: 'stopped', value: verdict.value }
  await insert(deps.client, saying, snapshot.now)
  const ends = verdict.to !== null && verdict.to !== snapshot.state ? verdict.to : null
  if (ends !== null) await deps.client.query(moveStatement, [saying.found.request.id, ends])
  await enter(deps.client, entriesOf(saying, ends), snapshot.now)
  return { kind: 'kept' }
}

const moveStatement = 'update requests set state = $2 where id = $1'

async function readSnapshot(
  { client, sealer }: Deps,
  { found: { request }, approval }: Saying,
): Promise<SayingSnapshot> {
  const from = new Date()
  const { rows } = await client.query<{ state: RequestState; now: Date }>(
    'select state, clock_timestamp() as now from requests where id = $1 for update',
    [request.id],
  )
  const instanceNow = new Date()
  const [row] = rows
  const [asked] = await readAsked(client, sealer, [request])
  if (row === undefined || asked === undefined) {
    throw new StoreError('row-tampered', `request ${request.id} is no longer what it was`)
  }
  if (row.state === 'proposed' || row.state === 'approved') await refuseEnded(client, [request.id])
  const clocksApart = apart(row.now, { from, to: instanceNow })
  const { rowCount } = await client.query('select from approvals where nonce = $1', [
    Buffer.from(approval.statement.nonce),
  ])
  return { ...row, asked, nonceUsed: rowCount !== 0, instanceNow, clocksApart }
}

/** Somebody's second approval takes the place of the first, which may have been under a lost credential. */
async function insert(client: PoolClient, saying: Saying, at: Date): Promise<void> {
  const { statement, raw } = saying.approval
  await client.query(
    `insert into approvals (request_id, person, decision, statement, evidence, nonce, recorded_at)
     values ($1, $2, $3, $4, $5, $6, $7) on conflict (request_id, person, decision) do update
     set statement = excluded.statement, evidence = excluded.evidence, nonce = excluded.nonce,
       recorded_at = excluded.recorded_at`,
    [
      saying.found.request.id,
      statement.person,
      statement.decision,
      Buffer.from(raw.statement),
      Buffer.from(raw.evidence),
      Buffer.from(statement.nonce),
      at,
    ],
  )
}

function entriesOf({ found, approval }: Saying, to: 'approved' | 'rejected' | null): AuditEntry[] {
  const request = found.request.id
  const kind =
    approval.statement.decision === 'approve' ? 'approval.recorded' : 'rejection.recorded'
  const said: AuditEntry = { kind, request, ...approval.raw }
  return to === null ? [said] : [said, { kind: `request.${to}`, request }]
}

async function enter(client: PoolClient, entries: readonly AuditEntry[], at: Date): Promise<void> {
  for (const entry of entries) {
    const { kind, subject, body } = encodeEntry(entry, at)
    await client.query('insert into audit_outbox (kind, subject, body) values ($1, $2, $3)', [
      kind,
      subject,
      Buffer.from(body),
    ])
  }
}

const statementOf = ({ approval }: Saying) => approval.raw.statement

function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0
}
