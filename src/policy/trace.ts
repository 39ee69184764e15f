import { denies, matches } from './cell.ts'
import type { Cell } from './cell.ts'
import type { Finding } from './finding.ts'
import type { DenyRule, Match, PolicySet, Rule } from './policy-set.ts'

/** Why one rule did or did not speak of a question. */
export type TraceLine = {
  readonly rule: string
  readonly kind: 'always' | 'deny' | 'rule'
  readonly applies: boolean
  readonly why: string
}

/**
 * How a decision came about, rule by rule in the order of the file. It follows from the same matchers
 * as the decision does, and so is made when somebody asks, not with every signature.
 * @param broken the findings of the rules that always hold
 */
export function traceOf(
  policies: Pick<PolicySet, 'rules' | 'denies'>,
  cell: Cell,
  broken: readonly Finding[] = [],
): TraceLine[] {
  return [
    ...broken.map(({ rule, message }): TraceLine => ({
      rule,
      kind: 'always',
      applies: true,
      why: message,
    })),
    ...policies.denies.map((entry) => denyLine(entry, cell)),
    ...policies.rules.map((rule) => ruleLine(rule, cell)),
  ]
}

function denyLine(entry: DenyRule, cell: Cell): TraceLine {
  const applies = denies(entry, cell)
  const why = applies ? 'denies this' : (mismatch(entry.match, cell, 'some') ?? '')
  return { rule: entry.id, kind: 'deny', applies, why }
}

function ruleLine(rule: Rule, cell: Cell): TraceLine {
  const applies = matches(rule.match, cell)
  const asks = rule.require === 'none' ? 'allows this' : `asks for ${rule.require.quorum.id}`
  const why = applies ? asks : (mismatch(rule.match, cell, 'every') ?? '')
  return { rule: rule.id, kind: 'rule', applies, why }
}

/** The first word of a match that the question does not fit. */
function mismatch(match: Partial<Match>, cell: Cell, mode: 'every' | 'some'): string | null {
  const { op, key, caller, diff, to } = match
  if (op?.includes(cell.op) === false) return `is not for ${cell.op}`
  if (key?.includes(cell.key) === false) return `is not for key ${cell.key}`
  if (caller !== undefined && (cell.caller === null || !caller.includes(cell.caller))) {
    return `is not for caller ${cell.caller ?? '(none)'}`
  }
  if (diff !== undefined && diff !== 'any') {
    const outside = cell.diff.filter((kind) => !diff.includes(kind))
    if (mode === 'some' && outside.length === cell.diff.length) return 'none of its changes occurs'
    if (cell.diff.length === 0) return 'asks for changes, and there are none to compare'
    if (mode === 'every' && outside.length > 0) return `does not allow ${outside.join(', ')}`
  }
  const beyond = (to ?? []).filter((id) => !cell.inside(id))
  return beyond.length > 0 ? `new values lie outside ${beyond.join(', ')}` : null
}
