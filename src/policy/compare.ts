import { fewestPersons, weakerIn } from './analyse/approvers.ts'
import { domainOf } from './analyse/domain.ts'
import type { DomainCell } from './analyse/domain.ts'
import { judgeCell } from './evaluate.ts'
import type { Decision } from './evaluate.ts'
import type { WitnessConfig, CeremonyRoles, Limit, PolicySet, Requirement } from './policy-set.ts'
import { quorumText } from './quorum.ts'
import { credentialDid } from './roster.ts'
import type { Credential, Roster } from './roster.ts'

/** One thing that a new policy set does otherwise. */
export type Difference = {
  /** `looser`: something passes that did not, or passes by less. Approvers read these first. */
  readonly direction: 'looser' | 'tighter'
  readonly text: string
}

type Side = { readonly decision: Decision; readonly limits: readonly string[] }

/**
 * What a new policy set allows or denies otherwise than the old one: first every class of questions
 * whose answer changed, then what is not in the rules (callers, keys, value sets, officers). Walks
 * through the closed domain of both sets together, so that nothing is missed and layout shows nothing.
 * @throws RangeError when there are too many value sets to walk through
 */
export function compare(old: PolicySet, next: PolicySet): Difference[] {
  const roster = next.roster ?? old.roster
  const groups = Map.groupBy(
    domainOf(old, next).flatMap((cell) => changeOf(cell, { old, next, roster })),
    ({ difference, cell }) =>
      JSON.stringify([cell.op, cell.key, cell.callers, cell.outside, difference]),
  )
  const rules = [...groups.values()].map((changed): Difference => {
    const [{ cell, difference }] = changed as [Change]
    const changes = new Set(changed.flatMap((change) => change.cell.diff))
    return { ...difference, text: `${cellText(cell, [...changes])}: ${difference.text}` }
  })
  const all = [...rules, ...listDifferences(old, next)]
  return all.toSorted((a, b) =>
    a.direction === b.direction ? 0 : a.direction === 'looser' ? -1 : 1,
  )
}

type Change = { readonly cell: DomainCell; readonly difference: Difference }

function changeOf(
  cell: DomainCell,
  { old, next, roster }: { old: PolicySet; next: PolicySet; roster: Roster | null },
): Change[] {
  const [before, after] = [sideOf(old, cell), sideOf(next, cell)]
  const [was, is] = [sideText(before, roster), sideText(after, roster)]
  if (was === is) return []
  const direction = isLooser(before, after, roster) ? 'looser' : 'tighter'
  return [{ cell, difference: { direction, text: `${was} → ${is}` } }]
}

function sideOf(policies: PolicySet, cell: DomainCell): Side {
  // A caller that a set does not name is denied by what always holds.
  const known = policies.callers.map(({ name }) => name)
  if (cell.callers.some((name) => !known.includes(name))) return { decision: denied, limits: [] }
  const counts = Object.fromEntries(policies.rules.map(({ id }) => [id, 0]))
  const circumstances = { ruleCounts: counts, didRuleCounts: counts }
  const decision = judgeCell(policies, cell, { broken: [], circumstances })
  const rules = decision.kind === 'deny' ? [] : decision.rules
  const limits = policies.rules
    .filter(({ id }) => rules.includes(id))
    .flatMap(({ limits: { global: ofAll, perDid } }) => [
      ...limitText(ofAll, 'for all'),
      ...limitText(perDid, 'for one identity'),
    ])
  return { decision, limits: limits.toSorted() }
}

const denied: Decision = { kind: 'deny', findings: [{ rule: 'POLICY-KEY-GRANTED', message: '' }] }

const limitText = (limit: Limit | null, whom: string) =>
  limit === null ? [] : [`at most ${limit.count} ${whom} in ${durationText(limit.seconds)}`]

function sideText({ decision, limits }: Side, roster: Roster | null): string {
  switch (decision.kind) {
    case 'deny':
      return 'denied'
    case 'allow':
      return ['allowed without approval', ...limits].join(', ')
    case 'require': {
      const asked = decision.requirements.map(requirementText).toSorted()
      const fewest = roster === null ? null : fewestPersons(decision.requirements, roster)
      const persons = fewest === null ? [] : [`${fewest} persons`]
      return [...persons, ...asked, ...limits].join(', ')
    }
  }
}

/** `2 of security (…)`, and what goes with it, for people. */
export function requirementText(requirement: Requirement): string {
  const { quorum, separate, approveBy, executeBy, delay, channel, witness, alarm } = requirement
  return [
    quorumText(quorum),
    ...(separate === null ? [] : [`from ${separate.orgs} organisations`]),
    ...(channel === null ? [] : [`${channel.cli} from the command line`]),
    `within ${durationText(approveBy)}`,
    ...(delay === 0 ? [] : [`then ${durationText(delay)} of delay`]),
    `signed within ${durationText(executeBy)}`,
    ...(witness ? ['witnessed'] : []),
    ...(alarm ? ['with an alarm'] : []),
  ].join(', ')
}

/** What passes now by something that did not suffice before; a shorter delay, a longer expiry, a lost limit. */
function isLooser(before: Side, after: Side, roster: Roster | null): boolean {
  if (after.decision.kind === 'deny') return false
  if (before.decision.kind === 'deny') return true
  const [was, is] = [requirementsOf(before), requirementsOf(after)]
  if (roster !== null && weakerIn(is, was, roster).length > 0) return true
  const longest = (list: readonly Requirement[]) =>
    Math.max(0, ...list.map(({ approveBy, executeBy }) => approveBy + executeBy))
  if (was.length > 0 && longest(is) > longest(was)) return true
  return (
    before.limits.some((limit) => !after.limits.includes(limit)) ||
    before.limits.length > after.limits.length
  )
}

const requirementsOf = ({ decision }: Side): readonly Requirement[] =>
  decision.kind === 'require' ? decision.requirements : []

function cellText(cell: DomainCell, changes: readonly string[]): string {
  const parts = [
    cell.op,
    ...(cell.key === 'none' ? [] : [`by ${cell.key} keys`]),
    ...(changes.length === 0 ? [] : [`changing ${changes.join(', ')}`]),
    ...(cell.callers.length === 0 ? [] : [`asked by ${cell.callers.join(', ')}`]),
    ...(cell.outside.length === 0 ? [] : [`to values outside ${cell.outside.join(', ')}`]),
  ]
  return parts.join(' ')
}

/** What stands in lists: who may use which key, which values lie in a set, who the officers are. */
function listDifferences(old: PolicySet, next: PolicySet): Difference[] {
  const rows = (set: PolicySet) => [
    ...set.keys.map((key) => `key ${key.id}: ${key.class} ${key.did} at ${key.uri ?? 'offline'}`),
    ...set.callers.flatMap(({ name, keys, pds, operatedBy = [] }) => [
      ...keys.map((key) => `caller ${name} may use key ${key}`),
      ...(pds === undefined ? [] : [`caller ${name} is the PDS ${pds}`]),
      ...operatedBy.map((person) => `caller ${name} is run by ${person}`),
    ]),
    ...set.valueSets.flatMap(({ id, kind, values }) =>
      values.map((value) => `${kind}.${id} has ${value}`),
    ),
    ...(set.roster?.persons ?? []).flatMap((person) => [
      `person ${person.id} of ${person.org} is ${person.status}: ${person.roles.join(', ')}`,
      ...person.credentials.map(
        (credential) => `person ${person.id} has the ${credentialText(credential)}`,
      ),
    ]),
    ...(set.roster === null
      ? []
      : [`passkeys are of ${set.roster.rp.id}, at ${set.roster.rp.origins.join(', ')}`]),
    ...(set.ceremony === null ? [] : [ceremonyText(set.ceremony)]),
    ...witnessLines(set.witnesses),
    ...(set.publication === null ? [] : [`publication takes ${durationText(set.publication)}`]),
    ...(set.notify?.webhooks ?? []).map(({ id, url }) => `webhook ${id} tells ${url}`),
    ...(set.notify?.mail == null ? [] : [`mail comes from ${set.notify.mail.from}`]),
    ...Object.entries(set.minimum ?? {}).map(
      ([op, count]) => `${op} needs at least ${count} persons`,
    ),
  ]
  const [before, after] = [new Set(rows(old)), new Set(rows(next))]
  return [
    ...[...after]
      .filter((row) => !before.has(row))
      .map((row): Difference => ({ direction: 'looser', text: `new: ${row}` })),
    ...[...before]
      .filter((row) => !after.has(row))
      .map((row): Difference => ({ direction: 'tighter', text: `gone: ${row}` })),
  ]
}

/** By the whole key: a name that stays while its key changes is another credential. */
function credentialText(credential: Credential): string {
  const { kind, id, from, until } = credential
  const [start, end] = [from, until].map((time) => new Date(time * 1_000).toISOString())
  return `${kind} ${id}: ${credentialDid(credential)}, from ${start ?? ''} until ${end ?? ''}`
}

function witnessLines(witnesses: WitnessConfig | undefined): string[] {
  if (witnesses === undefined) return []
  const { quorum, of } = witnesses
  const lines = of.map(({ url, key }) => `witness ${key} at ${url}`)
  return [`${quorum} of ${of.length} witnesses cosign`, ...lines]
}

function ceremonyText({ operators, observers, approversMayOperate }: CeremonyRoles): string {
  const may = approversMayOperate ? 'may' : 'may not'
  return `a ceremony has ${operators} operators and ${observers} observers; who approves it ${may} operate it`
}

export function durationText(seconds: number): string {
  const [unit, size] = (
    [
      ['d', 86_400],
      ['h', 3600],
      ['m', 60],
    ] as const
  ).find(([, each]) => seconds % each === 0) ?? ['s', 1]
  return `${seconds / size}${unit}`
}
