import type { Cell } from './cell.ts'
import { countRequirement, lackText } from './count.ts'
import { judgeCell } from './evaluate.ts'
import type { Decision } from './evaluate.ts'
import type { TestCase } from './parse/test-cases.ts'
import type { PolicySet, Requirement } from './policy-set.ts'

/** A case that the set answers otherwise than it must. */
export type TestFailure = { readonly file: string; readonly case: string; readonly message: string }

/**
 * Puts every case to the set, with the matcher and the count that the service uses. The rules that always
 * hold are not asked: no file can change them.
 */
export function runTests(policies: PolicySet, cases: readonly TestCase[]): TestFailure[] {
  return cases.flatMap((one) =>
    problemsOf(policies, one).map((message) => ({ file: one.file, case: one.case, message })),
  )
}

function problemsOf(policies: PolicySet, one: TestCase): string[] {
  const unknown = unknownNames(policies, one)
  if (unknown.length > 0) return unknown
  const decision = judgeCell(policies, cellOf(one), {
    broken: [],
    circumstances: {
      ruleCounts: countsOf(policies, one.used),
      didRuleCounts: countsOf(policies, one.usedByDid),
    },
  })
  const missing = decision.kind === 'require' ? missingOf(policies, one, decision) : []
  const answer = decision.kind === 'require' && missing.length === 0 ? 'approved' : decision.kind
  if (answer !== one.expect)
    return [`must be ${one.expect}, and is ${answer}${why(decision, missing)}`]
  return [...wrongRules(one, decision), ...wrongTerms(one, decision, missing)]
}

function cellOf({ op, key, caller, diff = [], inside = [] }: TestCase): Cell {
  return { op, key, caller: caller ?? null, diff, inside: (id) => inside.includes(id) }
}

function countsOf({ rules }: PolicySet, used: TestCase['used'] = {}): Record<string, number> {
  return Object.fromEntries(rules.map(({ id }) => [id, used[id] ?? 0]))
}

/** A name that is written wrongly would be a case that proves nothing. */
function unknownNames(policies: PolicySet, one: TestCase): string[] {
  const { cli = [], console: shown = [] } = one.agreed ?? {}
  const persons = policies.roster?.persons.map(({ id }) => id) ?? []
  const asked: readonly (readonly [string, readonly string[], readonly string[]])[] = [
    ['caller', one.caller === undefined ? [] : [one.caller], policies.callers.map((c) => c.name)],
    ['value set', one.inside ?? [], policies.valueSets.map(({ id }) => id)],
    ['person', [...cli, ...shown, ...(one.asks === undefined ? [] : [one.asks])], persons],
    [
      'rule',
      [...Object.keys(one.used ?? {}), ...Object.keys(one.usedByDid ?? {})],
      policies.rules.map(({ id }) => id),
    ],
  ]
  return asked.flatMap(([kind, names, known]) =>
    names.filter((id) => !known.includes(id)).map((id) => `there is no ${kind} ${id}`),
  )
}

type Require = Decision & { readonly kind: 'require' }

function missingOf(policies: PolicySet, one: TestCase, { requirements }: Require): string[] {
  const { roster, callers } = policies
  if (roster === null) return ['officers']
  const { cli = [], console: shown = [] } = one.agreed ?? {}
  const operators = callers.find(({ name }) => name === one.caller)?.operatedBy ?? []
  const input = {
    roster,
    agreements: [
      ...cli.map((person) => ({ person, cli: true })),
      ...shown.map((person) => ({ person, cli: false })),
    ],
    excluded: new Set([...operators, ...(one.asks === undefined ? [] : [one.asks])]),
  }
  return requirements.flatMap((asked) => countRequirement(asked, input).lacks).map(lackText)
}

function wrongRules(one: TestCase, decision: Decision): string[] {
  if (one.by === undefined) return []
  const found =
    decision.kind === 'deny' ? decision.findings.map(({ rule }) => rule) : decision.rules
  return same(found, one.by)
    ? []
    : [`must be by ${one.by.join(', ')}, and is by ${found.join(', ')}`]
}

function wrongTerms(one: TestCase, decision: Decision, missing: readonly string[]): string[] {
  const requirements = decision.kind === 'require' ? decision.requirements : []
  const lacks =
    one.missing === undefined || same(missing, one.missing)
      ? []
      : [`must lack ${one.missing.join('; ')}, and lacks ${missing.join('; ') || 'nothing'}`]
  return [...lacks, ...requirements.flatMap((asked) => wrongTermsOf(one, asked))]
}

function wrongTermsOf({ within, alarm }: TestCase, asked: Requirement): string[] {
  const wrongAlarm = alarm !== undefined && alarm !== asked.alarm
  const terms = (['approveBy', 'executeBy', 'delay'] as const).filter(
    (name) => within !== undefined && within[name] !== asked[name],
  )
  return [
    ...terms.map((name) => `${asked.rule}: ${name} is ${asked[name]} seconds`),
    ...(wrongAlarm ? [`${asked.rule}: alarm is ${asked.alarm}`] : []),
  ]
}

function why(decision: Decision, missing: readonly string[]): string {
  if (decision.kind === 'deny') return ` by ${decision.findings.map(({ rule }) => rule).join(', ')}`
  const lacking = missing.length === 0 ? '' : ` (lacks ${missing.join('; ')})`
  return ` by ${decision.rules.join(', ')}${lacking}`
}

function same(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((item, index) => item === right[index])
}
