import type { Finding } from '../finding.ts'
import type { Facts } from '../facts.ts'

/** `prev` names an operation whose bytes we hold and hashed, so that we know whose it is. */
export function checkPrevKnown(facts: Facts): Finding | null {
  const { prev } = facts.operation
  if (prev === null || facts.previous !== null) return null
  return {
    rule: 'PREV-KNOWN',
    message:
      `prev ${prev} is not the operation of an identity in care; ` +
      'take the account into care with: scripts/holdfast enroll DID',
  }
}

/** A DID belongs to one caller: by its genesis, or by `enroll`. */
export function checkDidOfCaller(facts: Facts): Finding | null {
  if (facts.previous === null || facts.previous.owner === facts.caller) return null
  return { rule: 'DID-OF-CALLER', message: `${facts.previous.did} belongs to another caller` }
}

/**
 * `prev` is the head. A strong key that signs a stale `prev` is not refused by the directory: it
 * rewrites history (R4, R6). And nothing extends a tombstone (R8).
 */
export function checkPrevIsHead(facts: Facts): Finding | null {
  const { previous } = facts
  const { observedHead } = facts.circumstances
  if (previous === null) return null
  if (previous.operation.type === 'plc_tombstone') {
    return {
      rule: 'PREV-IS-HEAD',
      message: `${previous.did} is a tombstone; nothing can follow it`,
    }
  }
  if (previous.nullified) {
    return { rule: 'PREV-IS-HEAD', message: `prev ${previous.cid} was nullified on the directory` }
  }
  if (observedHead !== null && observedHead !== previous.cid) {
    return {
      rule: 'PREV-IS-HEAD',
      message: `prev ${previous.cid} is no longer the head of ${previous.did}; the head is ${observedHead}`,
    }
  }
  return null
}

/** A tombstone ends an identity: only the undoing of a sign-up that failed a moment ago. */
export function checkTombstoneFresh(facts: Facts): Finding | null {
  if (facts.operationClass !== 'tombstone') return null
  return {
    rule: 'PLC-TOMBSTONE-FRESH',
    message:
      'a tombstone is signed only for a genesis of the same caller that is still the head ' +
      'and was signed here at most 300 seconds ago',
  }
}
