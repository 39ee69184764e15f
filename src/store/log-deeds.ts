import { sql } from 'drizzle-orm'
import type { AuditEntry } from '../audit/entry.ts'
import type { Database } from './database.ts'
import { append } from './outbox.ts'
import { requests } from './schema.ts'

export async function recordReconciled(
  db: Database,
  found: Omit<Extract<AuditEntry, { kind: 'reconciliation.reported' }>, 'kind'>,
): Promise<void> {
  await appendNow(db, { kind: 'reconciliation.reported', ...found })
}

async function appendNow(db: Database, entry: AuditEntry): Promise<void> {
  await db.transaction(async (tx) => {
    const { rows } = await tx.execute<{ now: string }>(sql`select clock_timestamp() as now`)
    await append(tx, requests.createdAt.mapFromDriverValue(rows[0]?.now ?? '') as Date, [entry])
  })
}
