import { eq, inArray } from 'drizzle-orm'
import { cidOfEncoded, decodeSignedOperation } from '../plc/encode.ts'
import type { PreviousOperation } from '../policy/facts.ts'
import { createBatcher } from './batch.ts'
import type { Sealer } from '../sealing/sealer.ts'
import type { Database } from './database.ts'
import { StoreError } from './error.ts'
import { identities, operations } from './schema.ts'
import { checkRow } from './seals.ts'

/** Finds operations by CID; look-ups that come together are one query. */
export function createFindOperation(
  db: Database,
  sealer: Sealer,
): (cid: string) => Promise<PreviousOperation | null> {
  return createBatcher({ run: async (cids: readonly string[]) => await findAll(db, sealer, cids) })
}

async function findAll(db: Database, sealer: Sealer, cids: readonly string[]) {
  const rows = await db
    .select({ operation: operations, identity: identities })
    .from(operations)
    .innerJoin(identities, eq(identities.did, operations.did))
    .where(inArray(operations.cid, [...new Set(cids)]))
  const byCid = new Map(rows.map((row) => [row.operation.cid, row]))
  return cids.map((cid) => settleRow(sealer, byCid.get(cid)))
}

type Row = {
  readonly operation: typeof operations.$inferSelect
  readonly identity: typeof identities.$inferSelect
}

function settleRow(
  sealer: Sealer,
  row: Row | undefined,
): PromiseSettledResult<PreviousOperation | null> {
  try {
    return { status: 'fulfilled', value: row === undefined ? null : toPrevious(sealer, row) }
  } catch (reason) {
    return { status: 'rejected', reason }
  }
}

/** Facts are drawn from these bytes. A row that was tampered with must not speak for its CID. */
function toPrevious(sealer: Sealer, { operation: row, identity }: Row): PreviousOperation {
  if (cidOfEncoded(row.bytes) !== row.cid) {
    throw new StoreError('row-tampered', `the stored operation ${row.cid} does not have that CID`)
  }
  checkRow(sealer, 'operation', row)
  checkRow(sealer, 'identity', identity)
  return {
    did: row.did,
    cid: row.cid,
    operation: decodeSignedOperation(row.bytes),
    owner: identity.caller,
    nullified: row.nullified,
    recordedAt: row.recordedAt,
    ours: row.requestId !== null,
  }
}
