import { desc, sql } from 'drizzle-orm'
import type { AuditEntry } from '../audit/entry.ts'
import { policySetBytes } from '../policy/canonical.ts'
import { rosterBytes } from '../policy/parse/roster.ts'
import type { PolicySet } from '../policy/policy-set.ts'
import type { Roster } from '../policy/roster.ts'
import type { Database } from './database.ts'
import { append } from './outbox.ts'
import { policySets } from './schema.ts'

/**
 * Puts the policies and the officers in force into the log before anything is decided under them, with
 * their bytes, so that an auditor can decide again. Starts with the same ones write nothing.
 * @throws RangeError for a set or a roster whose canonical bytes no entry can hold
 */
export async function recordPolicies(db: Database, policies: PolicySet): Promise<void> {
  const { digest, roster } = policies
  await db.transaction(async (tx) => {
    // Of two instances that start at once, the second sees what the first wrote.
    await tx.execute(sql`select pg_advisory_xact_lock(hashtextextended('policies', 0))`)
    const [newest] = await tx.select().from(policySets).orderBy(desc(policySets.id)).limit(1)
    const sameSet = isSame(newest?.digest, digest)
    const sameRoster = isSame(newest?.roster, roster?.digest)
    if (newest !== undefined && sameSet && sameRoster) return
    const [row] = await tx
      .insert(policySets)
      .values({ digest, roster: roster?.digest ?? null, at: sql`clock_timestamp()` })
      .returning({ at: policySets.at })
    if (row === undefined) throw new TypeError('an insert returns its row')
    const changed: AuditEntry[] = [
      ...(sameSet
        ? []
        : [{ kind: 'policy.changed', digest, set: policySetBytes(policies) } as const]),
      ...(sameRoster || roster === null ? [] : [rosterEntry(roster)]),
    ]
    if (changed.length > 0) await append(tx, row.at, changed)
  })
}

function rosterEntry(roster: Roster): AuditEntry {
  return { kind: 'roster.changed', digest: roster.digest, roster: rosterBytes(roster) }
}

function isSame(
  left: Uint8Array | null | undefined,
  right: Uint8Array | null | undefined,
): boolean {
  if (left === null || left === undefined || right === null || right === undefined) {
    return (left ?? null) === (right ?? null)
  }
  return Buffer.compare(left, right) === 0
}
