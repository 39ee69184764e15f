import { and, asc, eq, sql } from 'drizzle-orm'
import type { Ledger, LedgerRow, LedgerState } from '../campaign/ledger.ts'
import { ledgerStates } from '../campaign/ledger.ts'
import type { RecordedOperation } from '../directory/submit.ts'
import { cidOf, decodeSignedOperation } from '../plc/encode.ts'
import type { AuditEntry } from '../audit/entry.ts'
import { orBusy } from './database.ts'
import type { Database, Transaction } from './database.ts'
import { StoreError } from './error.ts'
import { append } from './outbox.ts'
import { ceremonies, ceremonyOperations, identities, requests } from './schema.ts'

/** A verified operation of a result, for the ledger. */
export type NewLedgerRow = {
  readonly did: string
  readonly prev: string
  readonly cid: string
  readonly bytes: Uint8Array
}

export type Ceremony = {
  readonly id: string
  readonly intent: string
  readonly result: Uint8Array
  readonly complete: boolean
}

const rows = ceremonyOperations

export function createLedger(db: Database): Ledger {
  return {
    list: async ({ ceremony, states, after, limit }) =>
      await orBusy(async () => {
        const found = await db
          .select()
          .from(rows)
          .where(
            and(
              eq(rows.ceremony, ceremony),
              sql`${rows.state} = any(${sql.param(states)}::text[])`,
              sql`${rows.did} > ${after}`,
              sql`(${rows.notBefore} is null or ${rows.notBefore} <= clock_timestamp())`,
            ),
          )
          .orderBy(asc(rows.did))
          .limit(limit)
        return found.map(ledgerRowOf)
      }),
    keep: async ({ recorded: { requestId, did } }, { state, detail, waitMs }) => {
      const wait = waitMs === null ? null : sql`clock_timestamp() + ${waitMs} * interval '1 ms'`
      await orBusy(
        async () =>
          await db
            .update(rows)
            .set({ state, detail, notBefore: wait, changedAt: sql`clock_timestamp()` })
            .where(and(eq(rows.ceremony, requestId), eq(rows.did, did))),
      )
    },
    counts: async (ceremony) => await orBusy(async () => await countStates(db, ceremony)),
  }
}

/** @throws StoreError `row-tampered` */
function ledgerRowOf(row: typeof rows.$inferSelect): LedgerRow {
  const operation = decodeSignedOperation(row.bytes)
  if (cidOf(operation) !== row.cid || operation.prev !== row.prev) {
    const message = `the ledger's row of ${row.did} does not hold the operation of its CID`
    throw new StoreError('row-tampered', message)
  }
  const { ceremony, did, cid } = row
  const recorded = Object.freeze({ requestId: ceremony, did, cid, operation }) as RecordedOperation
  return { recorded, prev: row.prev, state: row.state }
}

async function countStates(db: Database, ceremony: string): Promise<Record<LedgerState, number>> {
  const found = await db
    .select({ state: rows.state, count: sql<number>`count(*)::int` })
    .from(rows)
    .where(eq(rows.ceremony, ceremony))
    .groupBy(rows.state)
  const counts = new Map(found.map(({ state, count }) => [state, count]))
  return Object.fromEntries(ledgerStates.map((state) => [state, counts.get(state) ?? 0])) as Record<
    LedgerState,
    number
  >
}

/**
 * Begins an import, or goes on with one that died: the same intent and result only.
 * @returns whether it was complete already
 * @throws StoreError `conflict` when this ceremony has another result
 */
export async function beginImport(
  db: Database,
  { id, intent, result }: { id: string; intent: string; result: Uint8Array },
): Promise<boolean> {
  return await orBusy(
    async () =>
      await db.transaction(async (tx) => {
        const importedAt = await now(tx)
        const bytes = new Uint8Array(Buffer.from(intent, 'utf8'))
        await tx
          .insert(ceremonies)
          .values({ id, intent: bytes, result, complete: false, importedAt })
          .onConflictDoNothing()
        const [row] = await tx.select().from(ceremonies).where(eq(ceremonies.id, id))
        if (row === undefined) throw new StoreError('row-tampered', `ceremony ${id} went away`)
        const isSame =
          Buffer.compare(row.intent, bytes) === 0 && Buffer.compare(row.result, result) === 0
        if (isSame) return row.complete
        throw new StoreError('conflict', `ceremony ${id} has another intent or result already`)
      }),
  )
}

/** Written again, they are the same. @throws StoreError `conflict` for other bytes of an account */
export async function keepImported(
  db: Database,
  ceremony: string,
  imported: readonly NewLedgerRow[],
): Promise<void> {
  await orBusy(
    async () =>
      await db.transaction(async (tx) => {
        const changedAt = await now(tx)
        await tx
          .insert(rows)
          .values(
            imported.map((row) => ({ ceremony, ...row, state: 'planned' as const, changedAt })),
          )
          .onConflictDoNothing()
        const dids = imported.map(({ did }) => did)
        const kept = await tx
          .select({ did: rows.did, cid: rows.cid })
          .from(rows)
          .where(
            and(eq(rows.ceremony, ceremony), sql`${rows.did} = any(${sql.param(dids)}::text[])`),
          )
        const cids = new Map(kept.map(({ did, cid }) => [did, cid]))
        const other = imported.find(({ did, cid }) => cids.get(did) !== cid)
        if (other === undefined) return
        throw new StoreError(
          'conflict',
          `${other.did} has another operation in ceremony ${ceremony}`,
        )
      }),
  )
}

/** From here on it may be submitted, and the log says so. */
export async function endImport(
  db: Database,
  entry: Extract<AuditEntry, { kind: 'ceremony.imported' }>,
): Promise<void> {
  await orBusy(
    async () =>
      await db.transaction(async (tx) => {
        const done = await tx
          .update(ceremonies)
          .set({ complete: true })
          .where(and(eq(ceremonies.id, entry.ceremony), eq(ceremonies.complete, false)))
          .returning({ id: ceremonies.id })
        if (done.length > 0) await append(tx, await now(tx), [entry])
      }),
  )
}

export async function recordReport(
  db: Database,
  entry: Extract<AuditEntry, { kind: 'ceremony.reported' }>,
): Promise<void> {
  await orBusy(
    async () => await db.transaction(async (tx) => await append(tx, await now(tx), [entry])),
  )
}

export async function findCeremony(db: Database, id: string): Promise<Ceremony | null> {
  const [row] = await db.select().from(ceremonies).where(eq(ceremonies.id, id))
  if (row === undefined) return null
  const { result, complete } = row
  return { id, intent: Buffer.from(row.intent).toString('utf8'), result, complete }
}

export async function listCeremonies(db: Database): Promise<readonly string[]> {
  const found = await db
    .select({ id: ceremonies.id })
    .from(ceremonies)
    .orderBy(asc(ceremonies.importedAt))
  return found.map(({ id }) => id)
}

/** Every account in one of these states, with what is known of it; a page after `after`. */
export async function listAccounts(
  db: Database,
  query: { ceremony: string; states: readonly LedgerState[]; after: string; limit: number },
): Promise<readonly { did: string; state: LedgerState; detail: string | null }[]> {
  return await db
    .select({ did: rows.did, state: rows.state, detail: rows.detail })
    .from(rows)
    .where(
      and(
        eq(rows.ceremony, query.ceremony),
        sql`${rows.state} = any(${sql.param(query.states)}::text[])`,
        sql`${rows.did} > ${query.after}`,
      ),
    )
    .orderBy(asc(rows.did))
    .limit(query.limit)
}

/** Those that a new plan has to take up again. */
export async function staleDids(db: Database, ceremony: string): Promise<string[]> {
  const found = await db
    .select({ did: rows.did })
    .from(rows)
    .where(and(eq(rows.ceremony, ceremony), eq(rows.state, 'stale')))
  return found.map(({ did }) => did)
}

/** All identities in care, whoever's they are. */
export async function didsInCare(db: Database): Promise<string[]> {
  return (await db.select({ did: identities.did }).from(identities)).map(({ did }) => did)
}

async function now(tx: Transaction): Promise<Date> {
  const { rows: found } = await tx.execute<{ now: string }>(sql`select clock_timestamp() as now`)
  return requests.createdAt.mapFromDriverValue(found[0]?.now ?? '') as Date
}
