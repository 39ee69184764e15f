import { ConfigError } from './config.ts'
import type { PolicySet } from './policy/policy-set.ts'
import { changeHeld } from './sequencer/change-held.ts'
import { HeldError } from './sequencer/held.ts'
import type { Held, HeldStore } from './sequencer/held.ts'
import type { Database } from './store/database.ts'
import { findPolicySet } from './store/policy-sets.ts'
import { decodeTrust, differences, encodeTrust, recordOf } from './trust/record.ts'
import type { TrustRecord } from './trust/record.ts'

export type InForce = {
  readonly policies: PolicySet
  /** What the files say, where that is something else than what is in force. */
  readonly candidate: PolicySet | null
}

/**
 * What is in force is what the trust record says. Files with another digest are a candidate, and the
 * set in force comes from the bytes that were kept with its digest. Without a record there is nothing
 * in force yet, and the gate lets nothing be signed. A development instance accepts its own files.
 * @throws ConfigError, TrustError
 */
export async function openInForce(
  files: PolicySet,
  { held, db }: { readonly held: HeldStore; readonly db: Database },
): Promise<InForce> {
  const record = await readTrust(held)
  if (record === null) return { policies: files, candidate: null }
  const other = differences(record, files)
  if (other.length === 0) return { policies: files, candidate: null }
  if (record.env === 'dev') {
    if (files.env === 'dev') return { policies: files, candidate: null }
    throw new ConfigError(
      'policy.yaml: env: prod: this log is one of development, whose files were nobody’s to review; ' +
        'production begins with an empty database and checkpoint store and "scripts/holdfast trust init"',
    )
  }
  const policies = await findPolicySet(db, {
    policies: record.policies,
    roster: record.roster?.digest ?? null,
  })
  if (policies !== null) return { policies, candidate: files }
  throw new ConfigError(
    `HOLDFAST_POLICIES_DIR: its ${other.join(' and ')} differs from what the trust record has in force ` +
      `(${Buffer.from(record.policies).toString('hex')}), and the database does not hold that; bring those files back`,
  )
}

/** null where there is none, and where it cannot be read now: then the gate stays closed. @throws TrustError */
async function readTrust(held: HeldStore): Promise<TrustRecord | null> {
  try {
    const trust = (await held.read())?.trust ?? null
    return trust === null ? null : decodeTrust(trust)
  } catch (error) {
    if (error instanceof HeldError) return null
    throw error
  }
}

/** The held record with these policies in force; the same record where they are already. */
export function withTrust(held: Held, policies: PolicySet): Held {
  const before = held.trust === null ? null : decodeTrust(held.trust)
  if (before !== null && differences(before, policies).length === 0) return held
  return { ...held, trust: encodeTrust(recordOf(policies, before)) }
}

/**
 * Development only: the files are in force as they are, as long as the log is one of development. Where
 * there is no held record, the first look makes it with them.
 */
export async function acceptOwnFiles(store: HeldStore, policies: PolicySet): Promise<void> {
  if (policies.env !== 'dev') return
  // A store that cannot be read keeps the gate closed, and is no reason not to start.
  const held = await store.read().catch(() => null)
  if (held === null) return
  await changeHeld(store, (now) => (now === null ? held : withTrust(now, policies)))
}
