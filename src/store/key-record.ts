import { sql } from 'drizzle-orm'
import type { AuditEntry } from '../audit/entry.ts'
import type { KeyConfig } from '../policy/policy-set.ts'
import type { Database, Transaction } from './database.ts'
import { isOnRecord } from './look-up.ts'
import { append } from './outbox.ts'

type KeyEntry = Extract<AuditEntry, { kind: `key.${string}` }>

/** What happened to a key outside of the database; its entry is all that is kept of it here. */
export async function recordKey(db: Database, entry: KeyEntry): Promise<void> {
  await db.transaction(async (tx) => await append(tx, await readClock(tx), [entry]))
}

/**
 * Keys that `keys.yaml` retired are on record from the first start that knows it, once for each.
 * @returns those that were new
 */
export async function recordRetired(
  db: Database,
  keys: readonly Pick<KeyConfig, 'id' | 'did'>[],
): Promise<string[]> {
  if (keys.length === 0) return []
  return await db.transaction(async (tx) => {
    await tx.execute(sql`select pg_advisory_xact_lock(hashtextextended('key.retired', 0))`)
    const dids = keys.map(({ did }) => did)
    const { rows } = await tx.execute<{ did: string }>(
      sql`select did from unnest(${sql.param(dids)}::text[]) as input (did)
        where ${isOnRecord('key.retired', sql`did`)}`,
    )
    const known = new Set(rows.map(({ did }) => did))
    const fresh = keys.filter(({ did }) => !known.has(did))
    if (fresh.length === 0) return []
    const at = await readClock(tx)
    const entryOf = ({ id, did }: Pick<KeyConfig, 'id' | 'did'>) =>
      ({ kind: 'key.retired', key: id, keyDid: did }) as const
    await append(tx, at, fresh.map(entryOf))
    return fresh.map(({ id }) => id)
  })
}

async function readClock(tx: Transaction): Promise<Date> {
  const { rows } = await tx.execute<{ now: string }>(
    sql`select extract(epoch from clock_timestamp()) * 1000 as now`,
  )
  const [row] = rows
  if (row === undefined) throw new TypeError('the clock has a row')
  return new Date(Math.floor(Number(row.now)))
}
