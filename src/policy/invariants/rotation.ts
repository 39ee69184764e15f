import type { Finding } from '../finding.ts'
import type { Facts } from '../facts.ts'
import { pinnedKeys } from '../policy-set.ts'

/**
 * The doors look only among the keys of a caller; this is the fence behind them, and what an
 * auditor judges by.
 */
export function checkKeyGranted({ caller, key, policies }: Facts): Finding | null {
  const granted = policies.callers.find(({ name }) => name === caller)?.keys ?? []
  if (granted.includes(key.id)) return null
  return {
    rule: 'POLICY-KEY-GRANTED',
    message: `callers.yaml does not grant key ${key.id} to caller ${caller}`,
  }
}

/** A key that is retired stays known as ours, and signs nothing: neither to go on nor to leave. */
export function checkKeyInForce({ key }: Facts): Finding | null {
  if (key.retired !== true) return null
  return {
    rule: 'POLICY-KEY-IN-FORCE',
    message: `key ${key.id} is retired in keys.yaml and signs nothing any more`,
  }
}

/**
 * The signing key must have authority at `prev` (R3), or in the genesis itself: the directory would
 * refuse anything else, and a signature that proves nothing is still a signature given away.
 */
export function checkKeyListed(facts: Facts): Finding | null {
  const list = facts.operation.prev === null ? facts.after : facts.before
  if (list === null || list.rotationKeys.includes(facts.key.did)) return null
  return {
    rule: 'PLC-KEY-LISTED',
    message: `key ${facts.key.id} (${facts.key.did}) is not a rotation key of this identity`,
  }
}

/** Our key stays: without one, nothing that happens to the identity later can be undone here. */
export function checkKeepOurKey(facts: Facts): Finding | null {
  if (facts.after === null || facts.operationClass === 'departure') return null
  const { rotationKeys } = facts.after
  const inForce = facts.policies.keys.filter((key) => key.class === 'online' && !key.retired)
  if (inForce.some(({ did }) => rotationKeys.includes(did))) return null
  return {
    rule: 'PLC-ROTATION-KEEP-OURS',
    message:
      `rotationKeys must keep ${facts.key.did}; only an operation that moves the account to ` +
      'another PDS (endpoint, atproto key and all of our keys change together) may drop it',
  }
}

/** A recovery key that an identity has is never dropped: it is what the day of a loss needs. */
export function checkKeepRecoveryKey(facts: Facts): Finding | null {
  if (facts.before === null || facts.after === null || facts.operationClass === 'departure')
    return null
  const recovery = pinnedKeys(facts.policies, 'recovery')
  const had = facts.before.rotationKeys.find((key) => recovery.includes(key))
  if (had === undefined || facts.after.rotationKeys.some((key) => recovery.includes(key)))
    return null
  return {
    rule: 'PLC-ROTATION-KEEP-RECOVERY',
    message: `rotationKeys must keep the recovery key ${had}`,
  }
}

/**
 * The recovery key stands above every online key of ours. Below them it could undo nothing: only a
 * lower index may fork from the operation that a stolen online key signed (R4).
 */
export function checkRecoveryKeyAbove(facts: Facts): Finding | null {
  if (facts.after === null) return null
  const { rotationKeys } = facts.after
  const online = pinnedKeys(facts.policies, 'online')
  const firstOnline = rotationKeys.findIndex((key) => online.includes(key))
  if (firstOnline === -1) return null
  const below = pinnedKeys(facts.policies, 'recovery').find(
    (key) => rotationKeys.indexOf(key) > firstOnline,
  )
  if (below === undefined) return null
  return {
    rule: 'PLC-ROTATION-RECOVERY-ABOVE',
    message: `the recovery key ${below} must stand above ${rotationKeys[firstOnline]} in rotationKeys`,
  }
}

/** Once a recovery key is configured, no account is made that it could not bring back. */
export function checkGenesisHasRecoveryKey(facts: Facts): Finding | null {
  if (facts.operationClass !== 'genesis' || facts.after === null) return null
  const { rotationKeys } = facts.after
  const recovery = pinnedKeys(facts.policies, 'recovery')
  const [first] = recovery
  if (first === undefined || recovery.some((key) => rotationKeys.includes(key))) return null
  return {
    rule: 'PLC-GENESIS-RECOVERY',
    message: `a new account must list the recovery key: set PDS_RECOVERY_DID_KEY=${first} on the PDS`,
  }
}
