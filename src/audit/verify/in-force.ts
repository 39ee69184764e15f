import { decodePolicySet } from '../../policy/canonical.ts'
import { PolicyError } from '../../policy/error.ts'
import { decodeRoster } from '../../policy/parse/roster.ts'
import type { EcdsaVerify } from '../../plc/signature.ts'
import type { PolicySet } from '../../policy/policy-set.ts'
import { chainProblems } from '../../policy/roster-change.ts'
import type { Roster } from '../../policy/roster.ts'
import type { AuditEntry } from '../entry.ts'
import { acceptanceProblems, changeProblems } from './change.ts'
import type { Trusted } from './change.ts'
import type { KnownRules } from './examine.ts'
import { isEqual } from './is-equal.ts'

type Say = (message: string) => void

export type InForce = ReturnType<typeof createInForce>

/**
 * What decides, as the log tells it up to here: the one place where policies and officers come into
 * force. What was in force earlier stays known, for what was decided under it.
 */
export function createInForce(verify: EcdsaVerify) {
  const policies = new Map<string, PolicySet>()
  const rosters: Roster[] = []
  let set: PolicySet | null = null
  let trusted: Trusted | null = null
  let roster: Roster | null = null
  /** Of those who come in with what was put in force last. */
  let documents: Uint8Array[] = []

  function takePolicies(
    { digest, set: bytes }: AuditEntry & { kind: 'policy.changed' },
    say: Say,
  ): void {
    const decoded = orSay(() => decodePolicySet(bytes), say)
    if (decoded === null) return
    if (!isEqual(decoded.digest, digest)) say('the policies have another digest')
    if (binds(decoded, trusted) && !isEqual(decoded.digest, trusted.policies)) {
      say('these policies are not what was put in force')
    }
    policies.set(hexOf(decoded.digest), decoded)
    set = decoded
  }

  async function takeRoster(
    { digest, roster: bytes }: AuditEntry & { kind: 'roster.changed' },
    say: Say,
  ): Promise<void> {
    const next = orSay(() => decodeRoster(bytes), say)
    if (next === null) return
    if (!isEqual(next.digest, digest)) say('the officers have another digest')
    if (binds(next, trusted) && !isEqual(next.digest, trusted.roster?.digest ?? null)) {
      say('these officers are not who was put in force')
    }
    if (roster === null || !isEqual(next.digest, roster.digest)) {
      await checkSuccession(next, say)
    }
    if (!rosters.some((known) => isEqual(known.digest, next.digest))) rosters.push(next)
    roster = next
  }

  /** A development instance takes whatever its own files say; it cannot become one of production. */
  async function checkSuccession(next: Roster, say: Say): Promise<void> {
    if (next.env === 'dev' && roster?.env !== 'prod') return
    const before = rosters.length === 0 ? [] : chainProblems(rosters)
    const after = chainProblems([...rosters, next])
    for (const problem of after.filter((each) => !before.includes(each))) say(problem)
    const found = await acceptanceProblems({ old: roster, next, documents, verify })
    found.forEach(say)
    documents = []
  }

  /** They are judged with the officers that they are about, who come after them. */
  function takeAccepted({ document }: AuditEntry & { kind: 'roster.accepted' }): void {
    documents.push(document)
  }

  /** Written before the trust record is changed: who died in between has it written once more. */
  async function takeTrust(entry: Trusted, at: number, say: Say): Promise<void> {
    const last = trusted?.sequence ?? 0
    trusted = entry
    documents = []
    if (set?.env === 'dev') return
    if (entry.sequence !== last + 1 && (entry.sequence !== last || last === 0)) {
      say(`change ${entry.sequence} of what is in force comes after change ${last}`)
    }
    if (roster === null || set === null) {
      if (entry.agreed !== null) say('there was no officer to agree to it')
      return
    }
    const found = await changeProblems(entry, { policies: set, roster, at, verify })
    found.forEach(say)
  }

  return {
    takeTrust,
    takeAccepted,
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
