import type { PlcDirectory } from '../directory/directory.ts'
import type { VerifiedLog } from '../plc/log.ts'
import type { EcdsaVerify } from '../plc/signature.ts'
import type { PolicySet } from '../policy/policy-set.ts'
import type { RequestStore } from './ports.ts'
import { readVerifiedLog } from './read-log.ts'

export type EnrollOutcome =
  | { readonly kind: 'enrolled' | 'refreshed'; readonly did: string; readonly head: string }
  | { readonly kind: 'refused'; readonly did: string; readonly reason: string }

/** What became of a log: `foreign` was not kept, for its identity belongs to another caller. */
export type Enrolled = 'enrolled' | 'refreshed' | 'foreign'

/** How we know an identity: `known` with an operation of this CID, `in-care` without it. */
export type Standing = 'known' | 'in-care' | 'foreign'

/** The durable side of taking into care. One transaction a call: all of it is committed, or nothing. */
export type EnrolmentStore = {
  /** Logs of different DIDs. @throws StoreBusyError */
  enrollAll(logs: readonly VerifiedLog[], caller: string): Promise<ReadonlyMap<string, Enrolled>>
  /** Those of these identities that are in somebody's care. @throws StoreBusyError */
  standing(
    caller: string,
    heads: readonly { readonly did: string; readonly head: string | null }[],
  ): Promise<ReadonlyMap<string, Standing>>
}

export const FOREIGN = 'it belongs to another caller'

/**
 * Takes an existing account into care for a caller: its log is read and verified from the genesis,
 * and one of the caller's keys must have authority at the head.
 * @throws DirectoryError when the log cannot be read or does not verify
 */
export async function enroll(
  did: string,
  caller: string,
  deps: {
    store: Pick<RequestStore, 'enroll'>
    directory: PlcDirectory
    verify: EcdsaVerify
    policies: PolicySet
  },
): Promise<EnrollOutcome> {
  const log = await readVerifiedLog(did, deps)
  const reason = whyRefused(log, caller, deps.policies)
  if (reason !== null) return { kind: 'refused', did, reason }
  const outcome = await deps.store.enroll(log, caller)
  if (outcome === 'foreign') return { kind: 'refused', did, reason: FOREIGN }
  return { kind: outcome, did, head: log.head.cid }
}

/** Why a caller's keys have no say over an identity; null when one of them has. */
export function whyRefused(log: VerifiedLog, caller: string, policies: PolicySet): string | null {
  if (log.tombstoned || log.data === null) return 'it is a tombstone'
  const granted = policies.callers.find(({ name }) => name === caller)?.keys ?? []
  const keys = policies.keys.filter((key) => granted.includes(key.id)).map((key) => key.did)
  if (log.data.rotationKeys.some((key) => keys.includes(key))) return null
  return `none of the keys of caller ${caller} is among its rotation keys`
}
