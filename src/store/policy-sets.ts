import { hash } from 'node:crypto'
import { desc, eq, sql } from 'drizzle-orm'
import type { AuditEntry } from '../audit/entry.ts'
import { decodePolicySet, policySetBytes } from '../policy/canonical.ts'
import { decodeRoster, rosterBytes } from '../policy/parse/roster.ts'
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
  const set = policySetBytes(policies)
  const rosterSet = roster === null ? null : rosterBytes(roster)
  await db.transaction(async (tx) => {
    // Of two instances that start at once, the second sees what the first wrote.
    await tx.execute(sql`select pg_advisory_xact_lock(hashtextextended('policies', 0))`)
    const [newest] = await tx.select().from(policySets).orderBy(desc(policySets.id)).limit(1)
    const sameSet = isSame(newest?.digest, digest)
    const sameRoster = isSame(newest?.roster, roster?.digest)
    const kept = isSame(newest?.set, set) && isSame(newest?.rosterSet, rosterSet)
    if (newest !== undefined && sameSet && sameRoster && kept) return
    const [row] = await tx
      .insert(policySets)
      .values({
        digest,
        roster: roster?.digest ?? null,
        set,
        rosterSet,
        at: sql`clock_timestamp()`,
      })
      .returning({ at: policySets.at })
    if (row === undefined) throw new TypeError('an insert returns its row')
    const changed: AuditEntry[] = [
      ...(sameSet ? [] : [{ kind: 'policy.changed', digest, set } as const]),
      ...(sameRoster || roster === null ? [] : [rosterEntry(roster)]),
    ]
    if (changed.length > 0) await append(tx, row.at, changed)
  })
}

type TrustEntry = Extract<
  AuditEntry,
  {
    kind:
      | 'trust.changed'
      | 'roster.accepted'
      | 'signing.frozen'
      | 'signing.thawed'
      | 'submission.allowed'
  }
>

/** What is put in force or frozen, and what officers said of it. */
export async function recordTrust(db: Database, entries: readonly TrustEntry[]): Promise<void> {
  await db.transaction(async (tx) => {
    const { rows } = await tx.execute<{ now: string }>(
      sql`select extract(epoch from clock_timestamp()) * 1000 as now`,
    )
    await append(tx, new Date(Math.floor(Number(rows[0]?.now))), entries)
  })
}

/** What the trust record puts in force: digests, of which the second is that of the officers. */
type Wanted = { readonly policies: Uint8Array; readonly roster: Uint8Array | null }

/**
 * A policy set with its officers from the bytes that were kept when it came into force. A row is
 * believed when its bytes have the digests that were asked for, and for nothing else.
 * @returns null where no row has them
 */
export async function findPolicySet(db: Database, wanted: Wanted): Promise<PolicySet | null> {
  const rows = await db
    .select({ set: policySets.set })
    .from(policySets)
    .where(eq(policySets.digest, wanted.policies))
    .orderBy(desc(policySets.id))
  const rosters =
    wanted.roster === null
      ? []
      : await db
          .select({ roster: policySets.rosterSet })
          .from(policySets)
          .where(eq(policySets.roster, wanted.roster))
          .orderBy(desc(policySets.id))
  const set = rows.find((row) => hasDigest(row.set, wanted.policies))?.set
  const officers = rosters.find((row) => hasDigest(row.roster, wanted.roster))?.roster
  if (set === null || set === undefined) return null
  if (wanted.roster === null) return decodePolicySet(set)
  if (officers === null || officers === undefined) return null
  return { ...decodePolicySet(set), roster: decodeRoster(officers) }
}

/**
 * The epochs of officers from the first to this one, each from bytes that the next one names by their digest.
 * @returns null where one of them is not kept
 */
export async function findRosterChain(db: Database, newest: Roster): Promise<Roster[] | null> {
  const rows = await db.selectDistinct({ roster: policySets.rosterSet }).from(policySets)
  const chain = [newest]
  for (let { previous } = newest; previous !== null; previous = chain[0]!.previous) {
    const named = previous
    const row = rows.find(({ roster }) => hasDigest(roster, named))
    if (row?.roster === null || row === undefined) return null
    chain.unshift(decodeRoster(row.roster))
  }
  return chain
}

function hasDigest(bytes: Uint8Array | null, digest: Uint8Array | null): boolean {
  return bytes !== null && isSame(hash('sha256', bytes, 'buffer'), digest)
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
