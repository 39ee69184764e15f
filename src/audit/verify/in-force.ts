import { decodePolicySet } from '../../policy/canonical.ts'
import { PolicyError } from '../../policy/error.ts'
import { decodeRoster } from '../../policy/parse/roster.ts'
import type { PolicySet } from '../../policy/policy-set.ts'
import { stepProblems } from '../../policy/roster-change.ts'
import type { Roster } from '../../policy/roster.ts'
import type { AuditEntry } from '../entry.ts'
import type { KnownRules } from './examine.ts'
import { isEqual } from './is-equal.ts'

type Say = (message: string) => void
type Trusted = AuditEntry & { kind: 'trust.changed' }

export type InForce = ReturnType<typeof createInForce>

/**
 * What decides, as the log tells it up to here: the one place where policies and officers come into
 * force. What was in force earlier stays known, for what was decided under it.
 */
export function createInForce() {
  const policies = new Map<string, PolicySet>()
  const rosters: Roster[] = []
  let set: PolicySet | null = null
  let trusted: Trusted | null = null
  let roster: Roster | null = null

  /** @param lacks told what cannot be judged of it */
  function takePolicies(
    { digest, set: bytes }: AuditEntry & { kind: 'policy.changed' },
    say: Say,
    lacks: Say,
  ): void {
    const decoded = orSay(() => decodePolicySet(bytes), say)
    if (decoded === null) return
    if (!isEqual(decoded.digest, digest)) say('the policies have another digest')
    if (binds(decoded, trusted) && !isEqual(decoded.digest, trusted.policies)) {
      say('these policies are not what was put in force')
    }
    const changes = set !== null && !isEqual(decoded.digest, set.digest)
    if (changes && roster !== null && decoded.env === 'prod') {
      lacks('that the officers agreed to these policies cannot be judged here')
    }
    policies.set(hexOf(decoded.digest), decoded)
    set = decoded
  }

  /** @param lacks as above */
  function takeRoster(
    { digest, roster: bytes }: AuditEntry & { kind: 'roster.changed' },
    say: Say,
    lacks: Say,
  ): void {
    const next = orSay(() => decodeRoster(bytes), say)
    if (next === null) return
    if (!isEqual(next.digest, digest)) say('the officers have another digest')
    if (binds(next, trusted) && !isEqual(next.digest, trusted.roster?.digest ?? null)) {
      say('these officers are not who was put in force')
    }
    if (roster !== null && !isEqual(next.digest, roster.digest)) {
      for (const problem of problemsOfStep(roster, next)) say(problem)
      if (next.env === 'prod')
        lacks('that the officers before agreed to these cannot be judged here')
    }
    if (!rosters.some((known) => isEqual(known.digest, next.digest))) rosters.push(next)
    roster = next
  }

  /** Written before the trust record is changed: who died in between has it written once more. */
  function takeTrust(entry: Trusted, say: Say): void {
    const last = trusted?.sequence ?? 0
    trusted = entry
    if (set?.env === 'dev') return
    if (entry.sequence !== last + 1 && (entry.sequence !== last || last === 0)) {
      say(`change ${entry.sequence} of what is in force comes after change ${last}`)
    }
    if (entry.by === 'operator' && roster !== null) {
      say('where there are officers, nothing is put in force by the word of an operator')
    }
  }

  return {
    takeTrust,
    takePolicies,
    takeRoster,
    set: (): PolicySet | null => set,
    roster: (): Roster | null => roster,
    known: { policies, rosters } satisfies KnownRules as KnownRules,
  }
}

/** In production nothing is in force but what was put there. */
function binds({ env }: { env: 'dev' | 'prod' }, trusted: Trusted | null): trusted is Trusted {
  return env === 'prod' && trusted !== null
}

/** A development instance takes whatever its own files say; it cannot become one of production. */
function problemsOfStep(old: Roster, next: Roster): string[] {
  if (old.env === 'dev' && next.env === 'dev') return []
  return stepProblems(old, next)
}

function orSay<T>(decode: () => T, say: Say): T | null {
  try {
    return decode()
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error
    say(error.message)
    return null
  }
}

export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}
