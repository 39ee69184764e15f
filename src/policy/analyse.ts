import { agree, approverSets, available, fewestPersons, weakerIn } from './analyse/approvers.ts'
import type { Weaker } from './analyse/approvers.ts'
import { domainOf } from './analyse/domain.ts'
import type { DomainCell } from './analyse/domain.ts'
import { matches } from './cell.ts'
import { countRequirement } from './count.ts'
import { judgeCell } from './evaluate.ts'
import type { Decision } from './evaluate.ts'
import type { PolicySet, Requirement } from './policy-set.ts'
import { mayApprove } from './roster.ts'
import type { Roster } from './roster.ts'

export type Problem = {
  readonly check:
    | 'too-large'
    | 'minimum'
    | 'recovery-cli'
    | 'dead-rule'
    | 'unsatisfiable'
    | 'change-strictness'
    | 'unchangeable'
    | 'recovery-window'
    | 'ceremony-roles'
    | 'witness'
  /** `refuse`: no service starts with it. `warn`: only `policy check` fails. */
  readonly severity: 'refuse' | 'warn'
  readonly message: string
}

/** Two rules that can speak of the same operation: both must then be satisfied. */
export type Overlap = { readonly rules: readonly [string, string] }

export type Analysis = {
  /** How many classes of questions were walked through. */
  readonly cells: number
  readonly problems: readonly Problem[]
  readonly overlaps: readonly Overlap[]
}

type Case = {
  readonly cell: DomainCell
  readonly decision: Decision & { kind: 'allow' | 'require' }
}

/**
 * Walks through every question that could be put to a policy set and proves what it must keep: nothing
 * passes with fewer persons than `minimum` says, recovery keys need the command line, policies and
 * officers change by nothing less than the strictest thing they govern, no rule is dead, and all of it
 * can be met while any one officer is away. Limits are taken as not reached: they only deny.
 * @param now by which the officers' credentials are valid or not
 */
export function analyse(policies: PolicySet, now: Date): Analysis {
  let cells: DomainCell[]
  try {
    cells = domainOf(policies)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    const problem: Problem = { check: 'too-large', severity: 'refuse', message: error.message }
    return { cells: 0, problems: [problem], overlaps: [] }
  }
  const cases = cells.flatMap((cell) => passing(policies, cell))
  const checks = [checkMinimum, checkRecoveryCli, checkChanges, checkWindow, checkRoles]
  return {
    cells: cells.length,
    problems: [
      ...checks.flatMap((check) => check(policies, cases)),
      ...checkDead(policies, cases),
      ...checkAbsence(policies, cases, now),
    ],
    overlaps: overlapsOf(policies, cases),
  }
}

/** What no service may start with. */
export function refusals(policies: PolicySet, now: Date): Problem[] {
  return analyse(policies, now).problems.filter(({ severity }) => severity === 'refuse')
}

function passing(policies: PolicySet, cell: DomainCell): Case[] {
  const counts = Object.fromEntries(policies.rules.map(({ id }) => [id, 0]))
  const circumstances = { ruleCounts: counts, didRuleCounts: counts }
  const decision = judgeCell(policies, cell, { broken: [], circumstances })
  return decision.kind === 'deny' ? [] : [{ cell, decision }]
}

const requirementsOf = ({ decision }: Case): readonly Requirement[] =>
  decision.kind === 'require' ? decision.requirements : []

const rulesText = ({ decision }: Case) => decision.rules.join(' with ')

/** One case for each combination of requirements: cells with the same ones are alike here. */
function distinct(cases: readonly Case[], more: (each: Case) => unknown = () => ''): Case[] {
  const key = (each: Case) =>
    JSON.stringify([requirementsOf(each).map(({ rule }) => rule), more(each)])
  return [...new Map(cases.map((each) => [key(each), each])).values()]
}

function checkMinimum({ minimum, roster }: PolicySet, cases: readonly Case[]): Problem[] {
  if (minimum === null || roster === null) return []
  return distinct(cases, ({ cell }) => cell.op).flatMap((each): Problem[] => {
    const needed = minimum[each.cell.op]
    const fewest = fewestPersons(requirementsOf(each), roster)
    if (fewest !== null && fewest >= needed) return []
    // Nobody at all can meet it: then nothing passes, which another check says.
    if (fewest === null && approverSets(requirementsOf(each), roster) !== null) return []
    const found =
      fewest === null ? 'has too many officers to be walked through' : `passes with ${fewest}`
    const message = `${each.cell.op} must need ${needed} persons, but by ${rulesText(each)} it ${found}`
    return [{ check: 'minimum', severity: 'refuse', message }]
  })
}

/** Passkeys end with the console's origin, and a recovery must not: the command line stays. */
function checkRecoveryCli({ roster }: PolicySet, cases: readonly Case[]): Problem[] {
  if (roster === null) return []
  return distinct(cases.filter(({ cell }) => cell.key === 'recovery')).flatMap(
    (each): Problem[] => {
      if (requirementsOf(each).some(({ channel }) => channel !== null)) return []
      const message = `${rulesText(each)} lets a recovery key be used without an approval from a command line: add channel: { cli: 1 }`
      return [{ check: 'recovery-cli', severity: 'refuse', message }]
    },
  )
}

/** Whoever can change policies or officers can do everything that these govern. */
function checkChanges({ roster }: PolicySet, cases: readonly Case[]): Problem[] {
  if (roster === null) return []
  return (['policy', 'roster'] as const).flatMap((op): Problem[] => {
    const changes = distinct(cases.filter(({ cell }) => cell.op === op))
    if (changes.length === 0) {
      const message = `no rule is for ${op}: it could never be changed`
      return [{ check: 'unchangeable', severity: 'warn', message }]
    }
    return changes.flatMap((change) =>
      distinct(cases).flatMap((governed) =>
        weakerIn(requirementsOf(change), requirementsOf(governed), roster).map(
          (weaker): Problem => ({
            check: 'change-strictness',
            severity: 'refuse',
            message: `${op} changes by less (${rulesText(change)}) than ${governed.cell.op} needs (${rulesText(governed)}): ${weakerText(weaker)}`,
          }),
        ),
      ),
    )
  })
}

function weakerText(weaker: Weaker): string {
  switch (weaker.kind) {
    case 'persons':
      return `${weaker.example.join(' and ')} would be enough`
    case 'cli':
      return `channel.cli is ${weaker.has}, not ${weaker.needs}`
    case 'delay':
      return `the delay is ${weaker.has} s, not ${weaker.needs} s`
    case 'unknown':
      return 'there are too many officers to be walked through'
  }
}

/** The directory lets an operation be undone for so long. */
const RECOVERY_WINDOW = 72 * 3600

function checkWindow({ publication }: PolicySet, cases: readonly Case[]): Problem[] {
  const forks = distinct(cases.filter(({ cell }) => cell.op === 'nullify'))
  return forks.flatMap((each) =>
    requirementsOf(each).flatMap(({ rule, delay, approveBy, executeBy }): Problem[] => {
      const used = delay + approveBy + executeBy + (publication ?? 0)
      if (publication !== null && used <= RECOVERY_WINDOW) return []
      const message =
        publication === null
          ? `publication: say how long a recovery of all identities takes to be published; ${rule} must leave that time`
          : `${rule}: delay, approveBy, executeBy and publication are ${used / 3600} h together; what was signed can be undone for 72 h`
      return [{ check: 'recovery-window', severity: 'warn', message }]
    }),
  )
}

function checkRoles({ roster, ceremony }: PolicySet, cases: readonly Case[]): Problem[] {
  const ceremonies = distinct(cases.filter(({ cell }) => cell.op === 'ceremony'))
  if (roster === null || ceremonies.length === 0) return []
  const problem = (message: string): Problem[] => [
    { check: 'ceremony-roles', severity: 'warn', message },
  ]
  if (ceremony === null) return problem('ceremony: say who runs one; a rule allows ceremonies')
  const having = (role: 'operator' | 'observer') =>
    roster.persons.filter(({ status, roles }) => status === 'active' && roles.includes(role))
  for (const [role, needed] of [
    ['operator', ceremony.operators],
    ['observer', ceremony.observers],
  ] as const) {
    const found = having(role).length
    if (found < needed)
      return problem(`a ceremony needs ${needed} with the role ${role}; there are ${found}`)
  }
  if (ceremony.approversMayOperate) return []
  const apart = ceremonies.every((each) =>
    canStayApart(
      requirementsOf(each),
      having('operator').map(({ id }) => id),
      ceremony.operators,
      roster,
    ),
  )
  return apart
    ? []
    : problem('approvers may not operate, and without the operators too few officers are left')
}

/** Whether some officers meet the requirements and leave enough operators who did not approve. */
function canStayApart(
  requirements: readonly Requirement[],
  operators: readonly string[],
  needed: number,
  roster: Roster,
): boolean {
  const sets = approverSets(requirements, roster) ?? []
  return sets.some((approvers) => {
    const left = operators.filter((id) => !approvers.has(id)).length
    return left >= needed && agree(requirements, approvers, roster)
  })
}

function checkDead({ rules }: PolicySet, cases: readonly Case[]): Problem[] {
  return rules
    .filter(({ match }) => !cases.some(({ cell }) => matches(match, cell)))
    .map(({ id }) => ({
      check: 'dead-rule',
      severity: 'warn',
      message: `${id} can never allow anything: it is denied elsewhere, or matches nothing that can occur`,
    }))
}

/** Everything that passes must still pass while any one officer is away, or is who asks. */
function checkAbsence(policies: PolicySet, cases: readonly Case[], now: Date): Problem[] {
  const { roster, callers } = policies
  if (roster === null) return []
  const officers = roster.persons.filter(mayApprove).map(({ id }) => id)
  const operators = ({ cell }: Case) =>
    callers.find(({ name }) => name === cell.caller)?.operatedBy ?? []
  const lasting = ({ cell }: Case) => cell.key === 'recovery'
  return distinct(cases, (each) => [operators(each), lasting(each)]).flatMap((each): Problem[] => {
    const agreements = available(roster, { now, didKeyOnly: lasting(each) })
    const without = (absent: readonly string[]) => {
      const excluded = new Set([...operators(each), ...absent])
      return requirementsOf(each).every(
        (asked) => countRequirement(asked, { roster, agreements, excluded }).met,
      )
    }
    const how = lasting(each) ? ' by did:key credentials alone' : ''
    const problem = (who: string): Problem[] => [
      {
        check: 'unsatisfiable',
        severity: 'warn',
        message: `${rulesText(each)} cannot be met${how} ${who}`,
      },
    ]
    if (!without([])) return problem('by all officers together')
    const missed = officers.filter((id) => !without([id]))
    return missed.length === 0 ? [] : problem(`when ${missed.join(' or ')} is away`)
  })
}

function overlapsOf({ rules }: PolicySet, cases: readonly Case[]): Overlap[] {
  const pairs = new Map<string, Overlap>()
  for (const { decision } of cases) {
    const ids = rules.map(({ id }) => id).filter((id) => decision.rules.includes(id))
    for (const [index, left] of ids.entries()) {
      for (const right of ids.slice(index + 1)) {
        pairs.set(`${left} ${right}`, { rules: [left, right] })
      }
    }
  }
  return [...pairs.values()]
}
