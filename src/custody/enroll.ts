import type { PlcDirectory } from '../directory/directory.ts'
import type { EcdsaVerify } from '../plc/signature.ts'
import type { PolicySet } from '../policy/policy-set.ts'
import type { RequestStore } from './ports.ts'
import { readVerifiedLog } from './read-log.ts'

export type EnrollOutcome =
  | { readonly kind: 'enrolled' | 'refreshed'; readonly did: string; readonly head: string }
  | { readonly kind: 'refused'; readonly did: string; readonly reason: string }

/**
 * Takes an existing account into care for a caller: its log is read and verified from the genesis,
 * and one of the caller's keys must have authority at the head.
 * @throws DirectoryError when the log cannot be read or does not verify
 */
export async function enroll(
  did: string,
  caller: string,
  deps: { store: RequestStore; directory: PlcDirectory; verify: EcdsaVerify; policies: PolicySet },
): Promise<EnrollOutcome> {
  const log = await readVerifiedLog(did, deps)
  const refused = (reason: string): EnrollOutcome => ({ kind: 'refused', did, reason })
  if (log.tombstoned || log.data === null) return refused('it is a tombstone')
  const granted = deps.policies.callers.find((candidate) => candidate.name === caller)?.keys ?? []
  const keys = deps.policies.keys.filter((key) => granted.includes(key.id)).map((key) => key.did)
  if (!log.data.rotationKeys.some((key) => keys.includes(key))) {
    return refused(`none of the keys of caller ${caller} is among its rotation keys`)
  }
  const outcome = await deps.store.enroll(log, caller)
  if (outcome === 'foreign') return refused('it belongs to another caller')
  return { kind: outcome, did, head: log.head.cid }
}
