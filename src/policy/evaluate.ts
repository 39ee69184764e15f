import type { Finding } from './finding.ts'
import { contentClass, deriveFacts } from './facts.ts'
import type { Circumstances, Facts, Subject } from './facts.ts'
import { invariants } from './invariants/index.ts'
import type { DenyRule, Match, PolicySet, Rule } from './policy-set.ts'

/** How full a limited rule is, this operation included. */
export type LimitUse = {
  readonly rule: string
  readonly used: number
  readonly count: number
  /** At half of the limit or above: somebody should look before it is reached. */
  readonly alarm: boolean
}

/**
 * What the rules say of one operation. A quorum (`require`) becomes a third kind when officers
 * exist; until then a rule allows, or it does not match.
 */
export type Decision =
  | {
      readonly kind: 'allow'
      readonly rules: readonly string[]
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
  const { rules, denies } = facts.policies
  const findings = [...broken, ...denies.filter((deny) => denied(deny, facts)).map(denyFinding)]
  const matching = rules.filter((rule) => matches(rule.match, facts))
  if (matching.length === 0) findings.push(unmatched(facts))
  const limits = matching.flatMap((rule) => limitUse(rule, facts))
  findings.push(...limits.filter((limit) => limit.used > limit.count).map(limitFinding))
  const [first, ...rest] = findings
  if (first !== undefined) return { kind: 'deny', findings: [first, ...rest] }
  return { kind: 'allow', rules: matching.map((rule) => rule.id), limits }
}

/** A rule matches only if the operation's whole set of changes lies inside its list. */
function matches({ op, key, caller, diff }: Match, facts: Facts): boolean {
  return (
    op.includes(facts.operationClass) &&
    key.includes(facts.key.class) &&
    (caller === undefined || caller.includes(facts.caller)) &&
    (diff === 'any' ||
      (facts.changeKinds.length > 0 && facts.changeKinds.every((kind) => diff.includes(kind))))
  )
}

/** A deny entry matches if any of its listed changes occurs. */
function denied({ match: { op, key, caller, diff } }: DenyRule, facts: Facts): boolean {
  return (
    (op === undefined || op.includes(facts.operationClass)) &&
    (key === undefined || key.includes(facts.key.class)) &&
    (caller === undefined || caller.includes(facts.caller)) &&
    (diff === undefined || diff === 'any' || facts.changeKinds.some((kind) => diff.includes(kind)))
  )
}

function limitUse(rule: Rule, facts: Facts): LimitUse[] {
  const limit = rule.limits.global
  if (limit === null) return []
  const before = facts.circumstances.ruleCounts[rule.id]
  if (before === undefined) throw new Error(`rule ${rule.id} has a limit that was not counted`)
  const used = before + 1
  return [{ rule: rule.id, used, count: limit.count, alarm: used * 2 >= limit.count }]
}

/** The rules whose limits must be counted before this subject can be judged. */
export function limitedRules(subject: Subject, policies: PolicySet): Rule[] {
  const content = contentClass(subject, policies)
  const possible = content === 'tombstone' ? ['tombstone', 'tombstone.fresh'] : [content, 'nullify']
  return policies.rules.filter(
    (rule) => rule.limits.global !== null && rule.match.op.some((op) => possible.includes(op)),
  )
}

const denyFinding = (deny: DenyRule): Finding => ({
  rule: deny.id,
  message: 'the policy denies this operation',
})

const limitFinding = (limit: LimitUse): Finding => ({
  rule: limit.rule,
  message: `the limit of this rule is reached (${limit.count}); raise it in policy.yaml if this is expected`,
})

const unmatched = (facts: Facts): Finding => ({
  rule: 'POLICY-UNMATCHED',
  message: `no rule of the policy allows this ${facts.operationClass} (changes: ${facts.changeKinds.join(', ') || 'all'})`,
})
