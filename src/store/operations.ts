import { eq, sql } from 'drizzle-orm'
import type { RequestStore } from '../custody/ports.ts'
import { cidOf, decodeSignedOperation, encodeSignedOperation } from '../plc/encode.ts'
import type { LogEntry } from '../plc/log.ts'
import type { PreviousOperation } from '../policy/facts.ts'
import type { Database, Transaction } from './database.ts'
import { StoreError } from './error.ts'
import { append } from './outbox.ts'
import { identities, operations } from './schema.ts'

export async function findOperation(db: Database, cid: string): Promise<PreviousOperation | null> {
  const [row] = await db
    .select({ operation: operations, owner: identities.caller })
    .from(operations)
    .innerJoin(identities, eq(identities.did, operations.did))
    .where(eq(operations.cid, cid))
  if (row === undefined) return null
  const operation = decodeSignedOperation(row.operation.bytes)
  // Facts are drawn from these bytes. A row that was tampered with must not speak for its CID.
  if (cidOf(operation) !== cid) {
    throw new StoreError('row-tampered', `the stored operation ${cid} does not have that CID`)
  }
  return {
    did: row.operation.did,
    cid,
    operation,
    owner: row.owner,
    nullified: row.operation.nullified,
    recordedAt: row.operation.recordedAt,
    ours: row.operation.requestId !== null,
  }
}

/** Keeps a verified log whole; an operation that we signed keeps the time of its record. */
export const enroll =
  (db: Database): RequestStore['enroll'] =>
  async (log, caller) =>
    await db.transaction(async (tx) => {
      const added = await tx
        .insert(identities)
        .values({ did: log.did, caller, createdAt: sql`clock_timestamp()` })
        .onConflictDoNothing()
        .returning({ at: identities.createdAt })
      const [identity] = await tx
        .select()
        .from(identities)
        .where(eq(identities.did, log.did))
        .for('update')
      if (identity?.caller !== caller) return 'foreign'
      await keepOperations(tx, log.did, log.entries)
      const [first] = added
      if (first === undefined) return 'refreshed'
      await append(tx, first.at, [
        { kind: 'did.enrolled', did: log.did, caller, head: log.head.cid },
      ])
      return 'enrolled'
    })

const ROWS_PER_INSERT = 500

async function keepOperations(
  tx: Transaction,
  did: string,
  entries: readonly LogEntry[],
): Promise<void> {
  for (let start = 0; start < entries.length; start += ROWS_PER_INSERT) {
    const rows = entries.slice(start, start + ROWS_PER_INSERT).map((entry) => ({
      cid: entry.cid,
      did,
      bytes: encodeSignedOperation(entry.operation),
      requestId: null,
      nullified: entry.nullified,
      recordedAt: entry.createdAt,
    }))
    await tx
      .insert(operations)
      .values(rows)
      .onConflictDoUpdate({ target: operations.cid, set: { nullified: sql`excluded.nullified` } })
  }
}
