import { desc, sql } from 'drizzle-orm'
import { policySetBytes } from '../policy/canonical.ts'
import type { PolicySet } from '../policy/policy-set.ts'
import type { Database } from './database.ts'
import { append } from './outbox.ts'
import { policySets } from './schema.ts'

/**
 * Puts the policies in force into the log before anything is decided under them, with their bytes, so
 * that an auditor can decide again. Starts with the same policies write nothing.
 * @throws RangeError for a set whose canonical bytes no entry can hold
 */
export async function recordPolicies(db: Database, policies: PolicySet): Promise<void> {
  await db.transaction(async (tx) => {
    // Of two instances that start at once, the second sees what the first wrote.
    await tx.execute(sql`select pg_advisory_xact_lock(hashtextextended('policies', 0))`)
    const [newest] = await tx.select().from(policySets).orderBy(desc(policySets.id)).limit(1)
    const { digest } = policies
    if (newest !== undefined && Buffer.compare(newest.digest, digest) === 0) return
    const [row] = await tx
      .insert(policySets)
      .values({ digest, at: sql`clock_timestamp()` })
      .returning({ at: policySets.at })
    if (row === undefined) throw new TypeError('an insert returns its row')
    const set = policySetBytes(policies)
    await append(tx, row.at, [{ kind: 'policy.changed', digest, set }])
  })
}
