import { judgeCell } from './evaluate.ts'
import type { Decision } from './evaluate.ts'
import type { Cell } from './cell.ts'
import type { ActClass, ChangeKind, KeyMatch, OperationClass, PolicySet } from './policy-set.ts'

/** What is to be done: an act, or operations that a recovery key signs in a ceremony. */
export type Act = {
  readonly class: ActClass | OperationClass
  readonly key: KeyMatch
  /** Of operations; an act has none. */
  readonly changes?: readonly ChangeKind[]
}

/**
 * What the policy asks for a request that no program makes: other policies or officers, a ceremony
 * with all the operations it signs, and the like. Each of the acts must be allowed, and every
 * requirement of each must be met. Nothing is counted here, so a rule with a limit denies.
 */
export function judgeActs(
  policies: Pick<PolicySet, 'rules' | 'denies'>,
  acts: readonly [Act, ...Act[]],
): Decision {
  const decisions = acts.map((act) =>
    judgeCell(policies, cellOfAct(act), { broken: [], circumstances: null }),
  )
  const [finding, ...findings] = decisions.flatMap((decision) =>
    decision.kind === 'deny' ? decision.findings : [],
  )
  if (finding !== undefined) return { kind: 'deny', findings: [finding, ...findings] }
  const rules = new Set(
    decisions.flatMap((decision) => (decision.kind === 'deny' ? [] : decision.rules)),
  )
  const [first, ...rest] = new Set(
    decisions.flatMap((decision) => (decision.kind === 'require' ? decision.requirements : [])),
  )
  if (first === undefined) return { kind: 'allow', rules: [...rules], limits: [] }
  return { kind: 'require', rules: [...rules], requirements: [first, ...rest], limits: [] }
}

/** No program asks, and new values are judged by what the ceremony itself proves of them. */
function cellOfAct(act: Act): Cell {
  return {
    op: act.class,
    key: act.key,
    caller: null,
    diff: act.changes ?? [],
    inside: () => false,
  }
}
