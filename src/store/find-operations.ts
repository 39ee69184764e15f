import { eq, inArray } from 'drizzle-orm'
import { cidOfEncoded, decodeSignedOperation } from '../plc/encode.ts'
import type { PreviousOperation } from '../policy/facts.ts'
import { createBatcher } from './batch.ts'
import type { Database } from './database.ts'
import { StoreError } from './error.ts'
import { identities, operations } from './schema.ts'

/** Finds operations by CID; look-ups that come together are one query. */
export function createFindOperation(
  db: Database,
): (cid: string) => Promise<PreviousOperation | null> {
  return createBatcher({ run: async (cids: readonly string[]) => await findAll(db, cids) })
}

async function findAll(db: Database, cids: readonly string[]) {
  const rows = await db
    .select({ operation: operations, owner: identities.caller })
    .from(operations)
    .innerJoin(identities, eq(identities.did, operations.did))
    .where(inArray(operations.cid, [...new Set(cids)]))
  const byCid = new Map(rows.map((row) => [row.operation.cid, row]))
  return cids.map((cid) => settleRow(byCid.get(cid)))
}

type Row = { readonly operation: typeof operations.$inferSelect; readonly owner: string }

function settleRow(row: Row | undefined): PromiseSettledResult<PreviousOperation | null> {
  try {
    return { status: 'fulfilled', value: row === undefined ? null : toPrevious(row) }
  } catch (reason) {
    return { status: 'rejected', reason }
  }
}

/** Facts are drawn from these bytes. A row that was tampered with must not speak for its CID. */
function toPrevious({ operation: row, owner }: Row): PreviousOperation {
  if (cidOfEncoded(row.bytes) !== row.cid) {
    throw new StoreError('row-tampered', `the stored operation ${row.cid} does not have that CID`)
  }
  return {
    did: row.did,
    cid: row.cid,
    operation: decodeSignedOperation(row.bytes),
    owner,
    nullified: row.nullified,
    recordedAt: row.recordedAt,
    ours: row.requestId !== null,
  }
}
