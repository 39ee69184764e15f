import { requirementText } from './compare.ts'
import { countRequirement, lackText } from './count.ts'
import { cellOf, evaluate } from './evaluate.ts'
import type { Decision, EvaluateInput } from './evaluate.ts'
import { invariants } from './invariants/index.ts'
import type { ChangeKind, OperationClass, Requirement } from './policy-set.ts'
import { traceOf } from './trace.ts'
import type { TraceLine } from './trace.ts'

export type Explanation = {
  readonly class: OperationClass
  readonly changes: readonly ChangeKind[]
  /** Every rule of the set with whether it speaks of this, and those that always hold where one is broken. */
  readonly trace: readonly TraceLine[]
  readonly decision: Decision
  readonly requirements: readonly {
    readonly rule: string
    readonly text: string
    /** Before anybody has said anything. */
    readonly missing: readonly string[]
  }[]
}

/** How one operation would be judged, and why: the same evaluation that the service makes. */
export function explain(input: EvaluateInput): Explanation {
  const { facts, decision } = evaluate(input)
  const broken = invariants.flatMap((check) => check(facts) ?? [])
  const asked = decision.kind === 'require' ? decision.requirements : []
  return {
    class: facts.operationClass,
    changes: facts.changeKinds,
    trace: traceOf(input.policies, cellOf(facts), broken),
    decision,
    requirements: asked.map((requirement) => ({
      rule: requirement.rule,
      text: requirementText(requirement),
      missing: missingOf(input, requirement),
    })),
  }
}

function missingOf({ policies, subject }: EvaluateInput, requirement: Requirement): string[] {
  const { roster, callers } = policies
  if (roster === null) return ['officers: there is no roster.yaml']
  const operators = callers.find(({ name }) => name === subject.caller)?.operatedBy ?? []
  const count = { roster, agreements: [], excluded: new Set(operators) }
  return countRequirement(requirement, count).lacks.map(lackText)
}

/** `allowed by ACCOUNT`, for people. */
export function decisionText(decision: Decision): string {
  switch (decision.kind) {
    case 'allow':
      return `allowed by ${decision.rules.join(', ')}`
    case 'require':
      return `needs officers: ${decision.requirements.map(requirementText).join('; ')}`
    case 'deny':
      return `denied: ${decision.findings.map(({ rule, message }) => `${rule} (${message})`).join('; ')}`
  }
}
