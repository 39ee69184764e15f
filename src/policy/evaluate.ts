import { denies, matches } from './cell.ts'
import type { Cell } from './cell.ts'
import type { Finding } from './finding.ts'
import { contentClass, deriveFacts } from './facts.ts'
import type { Circumstances, Facts, Subject } from './facts.ts'
import { invariants } from './invariants/index.ts'
import type { DenyRule, PolicySet, Requirement, Rule } from './policy-set.ts'
import { allInside } from './value-sets.ts'

/** How full a limited rule is, this operation included: for all identities, or for this one. */
export type LimitUse = {
  readonly rule: string
  readonly per: 'all' | 'did'
  readonly used: number
  readonly count: number
  /** At half of the limit or above: somebody should look before it is reached. */
  readonly alarm: boolean
}

/**
 * What the rules say of one operation. `require`: allowed once officers have agreed as every one of
 * the requirements says. A decision knows no approvals; `approval` joins the two.
 */
export type Decision =
  | {
      readonly kind: 'allow'
      readonly rules: readonly string[]
      readonly limits: readonly LimitUse[]
    }
  | {
      readonly kind: 'require'
      readonly rules: readonly string[]
      readonly requirements: readonly [Requirement, ...Requirement[]]
      readonly limits: readonly LimitUse[]
    }
  | { readonly kind: 'deny'; readonly findings: readonly [Finding, ...Finding[]] }

export type EvaluateInput = {
  readonly subject: Subject
  readonly circumstances: Circumstances
  readonly policies: PolicySet
}

/**
 * Judges one operation: the rules that always hold, then deny entries, then the policy's rules, of
 * which every matching one must be satisfied. Unmatched is denied. Total and deterministic.
 */
export function evaluate(input: EvaluateInput): { facts: Facts; decision: Decision } {
  const facts = deriveFacts(input.subject, input.circumstances, input.policies)
  return { facts, decision: decide(facts) }
}

function decide(facts: Facts): Decision {
  const broken = invariants.flatMap((check) => check(facts) ?? [])
  const unknown = broken.find(({ rule }) => rule === 'PREV-KNOWN')
  // Of an unknown `prev` nothing else can be said: its class would be a guess, and with it the rules
  // and limits. For an identity of another caller, they would also tell it from an unknown one.
  if (unknown !== undefined) return { kind: 'deny', findings: [unknown] }
  return judgeCell(facts.policies, cellOf(facts), { broken, circumstances: facts.circumstances })
}

/** What the rules of the policy see of an operation. */
export function cellOf(facts: Facts): Cell {
  const { before, after, policies } = facts
  return {
    op: facts.operationClass,
    key: facts.key.class,
    caller: facts.caller,
    diff: facts.changeKinds,
    inside: (id) => {
      const set = policies.valueSets.find((candidate) => candidate.id === id)
      return set !== undefined && allInside(set, before, after)
    },
  }
}

/** Those of a decision's rules under which every step is an alarm: break-glass is loud. */
export function alarmRules(decision: Decision): string[] {
  if (decision.kind !== 'require') return []
  return decision.requirements.filter(({ alarm }) => alarm).map(({ rule }) => rule)
}

type Counts = Pick<Circumstances, 'ruleCounts' | 'didRuleCounts'>

/**
 * What deny entries and rules say of a cell, and nothing of what always holds.
 * @param input.circumstances null where nothing is counted: a rule with a limit then denies
 */
export function judgeCell(
  policies: Pick<PolicySet, 'rules' | 'denies'>,
  cell: Cell,
  input: { broken: readonly Finding[]; circumstances: Counts | null },
): Decision {
  const denying = policies.denies.filter((entry) => denies(entry, cell))
  const findings = [...input.broken, ...denying.map(denyFinding)]
  const matching = policies.rules.filter((rule) => matches(rule.match, cell))
  if (matching.length === 0) findings.push(unmatched(cell))
  const limits: LimitUse[] = []
  for (const rule of matching) {
    if (rule.limits.global === null && rule.limits.perDid === null) continue
    if (input.circumstances === null) findings.push(uncounted(rule))
    else limits.push(...limitUses(rule, input.circumstances))
  }
  findings.push(...limits.filter(({ used, count }) => used > count).map(limitFinding))
  const [first, ...rest] = findings
  if (first !== undefined) return { kind: 'deny', findings: [first, ...rest] }
  return grant(matching, limits)
}

function grant(matching: readonly Rule[], limits: readonly LimitUse[]): Decision {
  const rules = matching.map(({ id }) => id)
  const [first, ...rest] = matching.flatMap((rule) =>
    rule.require === 'none' ? [] : [rule.require],
  )
  if (first === undefined) return { kind: 'allow', rules, limits }
  return { kind: 'require', rules, requirements: [first, ...rest], limits }
}

function limitUses({ id, limits }: Rule, counts: Counts): LimitUse[] {
  return [
    ...limitUse({ rule: id, per: 'all', limit: limits.global, before: counts.ruleCounts[id] }),
    ...limitUse({ rule: id, per: 'did', limit: limits.perDid, before: counts.didRuleCounts[id] }),
  ]
}

function limitUse(input: {
  rule: string
  per: LimitUse['per']
  limit: Rule['limits']['global']
  before: number | undefined
}): LimitUse[] {
  const { rule, per, limit, before } = input
  if (limit === null) return []
  if (before === undefined) throw new Error(`rule ${rule} has a limit that was not counted`)
  const used = before + 1
  return [{ rule, per, used, count: limit.count, alarm: used * 2 >= limit.count }]
}

/** The rules whose limits must be counted before this subject can be judged. */
export function limitedRules(subject: Subject, policies: PolicySet): Rule[] {
  const content = contentClass(subject, policies)
  const possible = content === 'tombstone' ? ['tombstone', 'tombstone.fresh'] : [content, 'nullify']
  return policies.rules.filter(
    ({ limits, match }) =>
      (limits.global !== null || limits.perDid !== null) &&
      match.op.some((op) => possible.includes(op)),
  )
}

const denyFinding = (deny: DenyRule): Finding => ({
  rule: deny.id,
  message: 'the policy denies this operation',
})

const limitFinding = ({ rule, per, count }: LimitUse): Finding => ({
  rule,
  message:
    `the limit of this rule is reached (${count}${per === 'did' ? ' for one identity' : ''}); ` +
    'raise it in policy.yaml if this is expected',
})

const uncounted = ({ id }: Rule): Finding => ({
  rule: id,
  message: 'the limit of this rule cannot be counted here',
})

const unmatched = (cell: Cell): Finding => ({
  rule: 'POLICY-UNMATCHED',
  message: `no rule of the policy allows this ${cell.op} (changes: ${cell.diff.join(', ') || 'all'})`,
})
