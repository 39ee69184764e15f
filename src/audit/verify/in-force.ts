import { decodePolicySet } from '../../policy/canonical.ts'
import { PolicyError } from '../../policy/error.ts'
import { decodeRoster } from '../../policy/parse/roster.ts'
import type { EcdsaVerify } from '../../plc/signature.ts'
import type { PolicySet } from '../../policy/policy-set.ts'
import { chainProblems } from '../../policy/roster-change.ts'
import type { Roster } from '../../policy/roster.ts'
import type { AuditEntry } from '../entry.ts'
import { acceptanceProblems, changeProblems } from './change.ts'
import type { Accepted, Trusted } from './change.ts'
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
  /** The epochs that were put in force; what a service recorded before the first change is none of them. */
  const chain: Roster[] = []
  let set: PolicySet | null = null
  let trusted: Trusted | null = null
  let roster: Roster | null = null
  /** Of those who come in with what was put in force last. */
  let documents: Accepted[] = []

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
    if (roster?.env === 'prod' && next.env === 'dev') say('env changes from prod to dev')
    if (!rosters.some((known) => isEqual(known.digest, next.digest))) rosters.push(next)
    roster = next
    await settle(say)
  }

  /**
   * Once both are there, a change that names officers and these themselves: whether they follow those before,
   * and whether who comes in has accepted. Asked again at the latest where a key is used.
   */
  async function settle(say: Say): Promise<void> {
    const named = trusted?.roster?.digest
    const next = rosters.find(({ digest }) => named !== undefined && isEqual(digest, named))
    if (next === undefined || next.env === 'dev') return
    const old = chain.at(-1) ?? null
    if (isEqual(old?.digest ?? null, next.digest)) return
    const before = old === null ? [] : chainProblems(chain)
    const after = chainProblems([...chain, next])
    for (const problem of after.filter((each) => !before.includes(each))) say(problem)
    const found = await acceptanceProblems({ old, next, documents, verify })
    found.forEach(say)
    chain.push(next)
  }

  /** They are judged with the officers that they are about. */
  function takeAccepted({ document }: AuditEntry & { kind: 'roster.accepted' }, at: number): void {
    documents.push({ document, at })
  }

  /** Written before the trust record is changed: who died in between has it written once more. */
  async function takeTrust(entry: Trusted, at: number, say: Say): Promise<void> {
    const last = trusted?.sequence ?? 0
    if (entry.sequence > last) await settle(say)
    trusted = entry
    documents = []
    if (set?.env === 'dev') return
    if (entry.sequence !== last + 1 && (entry.sequence !== last || last === 0)) {
      say(`change ${entry.sequence} of what is in force comes after change ${last}`)
    }
    const officers = chain.at(-1)
    if (officers === undefined || set === null) {
      if (entry.agreed !== null) say('there was no officer to agree to it')
      return
    }
    const found = await changeProblems(entry, { policies: set, roster: officers, at, verify })
    found.forEach(say)
  }

  return {
    takeTrust,
    takeAccepted,
    takePolicies,
    takeRoster,
    settle,
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
