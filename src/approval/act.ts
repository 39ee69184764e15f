import { judgeActs } from '../policy/acts.ts'
import type { Act } from '../policy/acts.ts'
import type { Decision } from '../policy/evaluate.ts'
import type { PolicySet } from '../policy/policy-set.ts'
import type { Roster } from '../policy/roster.ts'
import { requesterText, termsOf } from './matter.ts'
import type { Matter } from './matter.ts'
import { lackingText } from './quorum.ts'
import type { VerifiedApproval } from './verify.ts'
import { weigh } from './weigh.ts'
import type { Clocks, Weighed } from './weigh.ts'

/** Something that persons decide and no program asks for: a ceremony, a fork of the log. */
export type AskedAct = {
  readonly env: Matter['env']
  readonly audience: string
  readonly subject: Exclude<Matter['subject'], 'op'>
  /** SHA-256 of the exact bytes of what is asked. */
  readonly request: Uint8Array
  /** The did:key that will sign; null where none does. */
  readonly key: string | null
  /** Who asks, by the id in the roster: that person's approval does not count. */
  readonly proposer: string | null
  readonly made: Date
  readonly display: string
  readonly acts: readonly [Act, ...Act[]]
}

/** Why nobody may do it now, for people. */
export class ActRefused extends Error {
  override readonly name = 'ActRefused'
}

type Asked = Extract<Decision, { kind: 'allow' | 'require' }>

/** @throws ActRefused when the policies allow it to nobody */
export function decideAct(asked: AskedAct, policies: PolicySet): Asked {
  const decision = judgeActs(policies, asked.acts)
  if (decision.kind !== 'deny') return decision
  const rules = decision.findings.map(({ rule }) => rule).join(', ')
  throw new ActRefused(`the policies allow no such ${asked.subject} (${rules})`)
}

/** What officers approve of it; null where the policies ask nobody. @throws ActRefused */
export function actMatter(asked: AskedAct, policies: PolicySet): Matter | null {
  const decision = decideAct(asked, policies)
  if (decision.kind === 'allow') return null
  const { env, audience, subject, request, key, proposer, made, display } = asked
  if (proposer === null) {
    throw new ActRefused('the policies ask officers, and nobody is named who asks')
  }
  return {
    env,
    audience,
    subject,
    request,
    key,
    head: null,
    nullifies: [],
    requester: { kind: 'person', id: proposer },
    policy: { rules: decision.rules, digest: policies.digest },
    terms: termsOf(decision.requirements, made),
    display,
  }
}

/**
 * @returns rules that allow it, and persons whose approval counted @throws ActRefused saying who is missing
 */
export function weighAct(
  asked: AskedAct,
  input: {
    readonly policies: PolicySet
    readonly roster: Roster | null
    readonly approvals: readonly VerifiedApproval[]
    readonly clocks: Clocks
  },
): { readonly rules: readonly string[]; readonly approvers: readonly string[] } {
  const { policies, roster, approvals, clocks } = input
  const decision = decideAct(asked, policies)
  const matter = actMatter(asked, policies)
  if (matter === null || decision.kind === 'allow') return { rules: decision.rules, approvers: [] }
  const weighed = weigh({
    matter,
    requirements: decision.requirements,
    approvals,
    roster,
    callers: policies.callers,
    clocks,
  })
  if (weighed.kind !== 'met') {
    throw new ActRefused(whyNot(weighed, requesterText(matter.requester)))
  }
  const approvers = [...new Set(approvals.map(({ person }) => person.id))]
    .filter((id) => !weighed.voids.some(({ person }) => person === id))
    .sort()
  return { rules: decision.rules, approvers }
}

function whyNot(weighed: Exclude<Weighed, { kind: 'met' }>, requester: string): string {
  const voids = weighed.voids.map(({ person, reason }) => `; of ${person}: ${reason}`).join('')
  switch (weighed.kind) {
    case 'waiting':
      return `missing: ${weighed.missing.map(lackingText).join('; ')}${voids} (asked by ${requester})`
    case 'rejected':
      return `${weighed.by} has rejected it`
    case 'expired':
      return `its time is over (${weighed.expiry}), by the clock of this machine${voids}`
    case 'delayed':
      return `nobody may sign before ${new Date(weighed.until * 1_000).toISOString()}`
  }
}
