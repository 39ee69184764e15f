import type { ChangeKind, DenyRule, KeyMatch, Match, RuleClass } from './policy-set.ts'

/**
 * All that the rules of a policy see of one question: a point of a closed domain, so that an analyser
 * can walk through all of them with the matcher that the service uses.
 */
export type Cell = {
  readonly op: RuleClass
  readonly key: KeyMatch
  /** null: not asked by a program. */
  readonly caller: string | null
  readonly diff: readonly ChangeKind[]
  /** Whether all new values of the set's kind lie in this value set. */
  readonly inside: (valueSet: string) => boolean
}

/** A rule matches only if the operation's whole set of changes lies inside its list. */
export function matches({ op, key, caller, diff, to }: Match, cell: Cell): boolean {
  return (
    op.includes(cell.op) &&
    key.includes(cell.key) &&
    (caller === undefined || (cell.caller !== null && caller.includes(cell.caller))) &&
    (diff === 'any' || (cell.diff.length > 0 && cell.diff.every((kind) => diff.includes(kind)))) &&
    (to === undefined || to.every(cell.inside))
  )
}

/** A deny entry matches if any of its listed changes occurs. */
export function denies({ match: { op, key, caller, diff } }: DenyRule, cell: Cell): boolean {
  return (
    (op === undefined || op.includes(cell.op)) &&
    (key === undefined || key.includes(cell.key)) &&
    (caller === undefined || (cell.caller !== null && caller.includes(cell.caller))) &&
    (diff === undefined || diff === 'any' || cell.diff.some((kind) => diff.includes(kind)))
  )
}
