import { lackingText } from '../../approval/quorum.ts'
import { termsOf } from '../../approval/matter.ts'
import type { Requester } from '../../approval/matter.ts'
import { matterOf } from '../../approval/operation-matter.ts'
import type { VerifiedApproval } from '../../approval/verify.ts'
import { CLOCK_TOLERANCE, weigh } from '../../approval/weigh.ts'
import type { Weighed } from '../../approval/weigh.ts'
import { requestDigest } from '../../plc/encode.ts'
import type { PolicySet } from '../../policy/policy-set.ts'
import type { Roster } from '../../policy/roster.ts'
import type { Asks, IntendedFact, JudgedFact, SaidFact } from './fact.ts'
import { hexOf } from './in-force.ts'
import type { InForce } from './in-force.ts'
import { isEqual } from './is-equal.ts'

/** A request that officers were asked about, and what they have said since. */
export type Asked = {
  readonly requester: Requester
  /** Milliseconds. */
  readonly proposedAt: number
  readonly policy: string
  readonly roster: Roster
  /** By person and decision: what somebody says anew takes the place of what they said before. */
  readonly said: Map<string, VerifiedApproval>
}

/** Of a request as it was first proposed; null: nobody is asked, or there is nobody to ask. */
export function askedOf({ asks }: JudgedFact, at: number, { roster }: InForce): Asked | null {
  const officers = roster()
  if (asks === null || officers === null) return null
  const { requester, policy } = asks
  return { requester, proposedAt: at, policy, roster: officers, said: new Map() }
}

/** A request that officers are asked about, under the rules of this moment. */
export type Case = {
  readonly asked: Asked
  readonly asks: Asks
  readonly inForce: InForce
  readonly at: number
}

/** Keeps what an officer said. @returns what is wrong with it; empty: nothing */
export function takeSaid({ kind, approval }: SaidFact, given: Case): string[] {
  const { asked, asks, inForce } = given
  const { statement, person } = approval
  const decision = kind === 'approval.recorded' ? 'approve' : 'reject'
  const roster = inForce.roster()
  const key = `${statement.decision} ${person.id}`
  asked.said.set(key, approval)
  const problems: string[] = []
  if (statement.decision !== decision) problems.push(`it says ${statement.decision}`)
  if (roster === null || !isEqual(statement.roster.digest, roster.digest)) {
    problems.push('it names officers that are not in force')
  }
  // Under other policies than it was asked under, it counts for nothing: the officers are asked anew.
  if (isOfNow(given)) {
    const alone = weighed(given, statement.audience, [approval])
    const counts = decision === 'reject' ? alone.kind === 'rejected' : alone.voids.length === 0
    if (!counts) {
      const reason = alone.voids[0]?.reason ?? 'it is about something else, or not by an officer'
      problems.push(`the word of ${person.id} counts for nothing: ${reason}`)
    }
  } else if (!isEqual(statement.request, requestDigest(asks.bytes))) {
    problems.push('it is about other bytes')
  }
  return problems
}

/** @returns what is wrong with using a key on these grounds, at this moment; empty: nothing */
export function agreementProblems(agreement: IntendedFact['agreement'], given: Case): string[] {
  if (agreement === null) return ['officers had to agree, and it does not say that they did']
  const { asked, asks, inForce } = given
  const roster = inForce.roster()
  const problems: string[] = []
  if (roster === null || !isEqual(agreement.roster, roster.digest)) {
    problems.push('it rests on officers that are not in force')
  }
  if (!isEqual(asked.roster.digest, roster?.digest ?? null)) {
    problems.push('other officers were asked than are in force')
  }
  if (asks.policy !== asked.policy || !isOfNow(given)) {
    problems.push('officers were asked under other policies than are in force')
  }
  const standing = weighed(given, agreement.audience)
  if (standing.kind !== 'met') problems.push(`officers had not agreed: ${textOf(standing)}`)
  return problems
}

/** Whether it is so that they agreed, or that one of them said no; what cannot be told is believed. */
export function isSo(said: 'approved' | 'rejected', given: Case): boolean {
  if (!isOfNow(given)) return true
  const { kind } = weighed(given, audienceOf(given))
  return said === 'rejected' ? kind === 'rejected' : kind === 'met' || kind === 'delayed'
}

/** By the later of the two clocks, of which the log has one. */
export function isOver(given: Case): boolean {
  const { approveBy } = termsOf(given.asks.decision.requirements, new Date(given.asked.proposedAt))
  const latest = given.at + CLOCK_TOLERANCE * 1000
  if (latest / 1000 >= approveBy || !isOfNow(given)) return true
  return weighed({ ...given, at: latest }, audienceOf(given)).kind === 'expired'
}

/** Officers are asked under these rules, and judged under no others. */
function isOfNow({ asked, inForce }: Case): boolean {
  const set = inForce.set()
  return set !== null && hexOf(set.digest) === asked.policy
}

function audienceOf({ asked }: Case): string {
  const [first] = asked.said.values()
  return first?.statement.audience ?? ''
}

function weighed(
  given: Case,
  audience: string,
  approvals: readonly VerifiedApproval[] = [...given.asked.said.values()],
): Weighed {
  const { asks, at, inForce } = given
  const policies = policiesOf(asks, given)
  const now = new Date(at)
  return weigh({
    matter: matterUnder(policies, given, audience),
    requirements: asks.decision.requirements,
    approvals,
    roster: inForce.roster(),
    callers: policies.callers,
    // The service took the worse of two clocks: what it found to be met is met by either alone.
    clocks: { instance: now, database: now },
  })
}

function matterUnder(policies: PolicySet, { asks, asked }: Case, audience: string) {
  const { decision, subject, bytes } = asks
  const { requester } = asked
  const proposedAt = new Date(asked.proposedAt)
  return matterOf({ subject, bytes, decision, policies, audience, requester, proposedAt })
}

function policiesOf({ policy }: Asks, { inForce }: Case): PolicySet {
  const policies = inForce.known.policies.get(policy)
  if (policies === undefined) throw new TypeError('what was judged was judged under known policies')
  return policies
}

function textOf(standing: Exclude<Weighed, { kind: 'met' }>): string {
  switch (standing.kind) {
    case 'waiting': {
      const voids = standing.voids.map(({ person, reason }) => `${person}: ${reason}`)
      return [...standing.missing.map(lackingText), ...voids].join('; ')
    }
    case 'delayed':
      return `not before ${new Date(standing.until * 1000).toISOString()}`
    case 'rejected':
      return `${standing.by} said no`
    case 'expired':
      return `${standing.expiry} was over`
  }
}
