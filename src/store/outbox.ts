import { encodeEntry } from '../audit/entry.ts'
import type { AuditEntry } from '../audit/entry.ts'
import type { Transaction } from './database.ts'
import { auditOutbox } from './schema.ts'

/**
 * Appends entries to the outbox, inside the transaction of what they record: there is no deed
 * without its entry and no entry without its deed.
 */
export async function append(
  tx: Transaction,
  at: Date,
  entries: readonly AuditEntry[],
): Promise<void> {
  await tx.insert(auditOutbox).values(entries.map((entry) => encodeEntry(entry, at)))
}
