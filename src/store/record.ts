import { and, eq, gt, sql } from 'drizzle-orm'
import type { StoredRequest } from '../custody/ports.ts'
import { cidOf, encodeSignedOperation } from '../plc/encode.ts'
import type { SignedOperation } from '../plc/operation.ts'
import type { CommittedIntent, VerifiedSignature } from '../signer/signer.ts'
import type { Database, Transaction } from './database.ts'
import { append } from './outbox.ts'
import { identities, operations, requests } from './schema.ts'
import { storedRequest } from './stored-request.ts'

/**
 * Commits a signature, before anybody sees it. Only the holder of a lease that lives can: what was
 * true at the claim, such as the directory's head, is not believed for longer. A call that was
 * suspended and wakes up later finds no row, taken over or not, and its signature is forgotten.
 */
export async function record(
  db: Database,
  { intent, compact }: VerifiedSignature,
  { did, operation }: { did: string; operation: SignedOperation },
): Promise<StoredRequest | null> {
  const cid = cidOf(operation)
  return await db.transaction(async (tx) => {
    const [row] = await tx
      .update(requests)
      .set({
        state: 'returned',
        lease: null,
        leaseUntil: null,
        signature: compact,
        did,
        cid,
        producedAt: sql`clock_timestamp()`,
      })
      .where(and(heldBy(intent), gt(requests.leaseUntil, sql`clock_timestamp()`)))
      .returning()
    if (row === undefined || row.producedAt === null) return null
    await keepOperation(tx, { row, did, cid, operation, at: row.producedAt })
    await append(tx, row.producedAt, [
      {
        kind: 'signature.produced',
        request: row.id,
        lease: intent.lease,
        did,
        cid,
        signature: compact,
      },
    ])
    return storedRequest(row)
  })
}

/** Our own genesis is in care at once: its first handle change may come before the directory shows it. */
async function keepOperation(
  tx: Transaction,
  kept: {
    row: typeof requests.$inferSelect
    did: string
    cid: string
    operation: SignedOperation
    at: Date
  },
): Promise<void> {
  const { row, did, cid, operation, at } = kept
  if (row.prev === null) {
    await tx
      .insert(identities)
      .values({ did, caller: row.caller, createdAt: at })
      .onConflictDoNothing()
  }
  await tx
    .insert(operations)
    .values({
      cid,
      did,
      bytes: encodeSignedOperation(operation),
      requestId: row.id,
      nullified: false,
      recordedAt: at,
    })
    .onConflictDoNothing()
}

/** Lets a claim go whose key was certainly not used, or gave nothing that may be released. */
export async function fail(db: Database, intent: CommittedIntent, reason: string): Promise<void> {
  await db.transaction(async (tx) => {
    const [row] = await tx
      .update(requests)
      .set({ state: 'failed', lease: null, leaseUntil: null })
      .where(heldBy(intent))
      .returning({ id: requests.id, at: sql<Date>`clock_timestamp()`.mapWith(requests.createdAt) })
    if (row === undefined) return
    await append(tx, row.at, [{ kind: 'request.failed', request: row.id, reason }])
  })
}

function heldBy({ authorized, lease }: CommittedIntent) {
  return and(
    eq(requests.id, authorized.requestId),
    eq(requests.lease, lease),
    eq(requests.state, 'signing'),
  )
}
