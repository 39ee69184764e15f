import type { Requirement } from './policy-set.ts'
import { countedIn, countQuorum, personsIn } from './quorum.ts'
import type { Missing } from './quorum.ts'
import { mayApprove, personOf } from './roster.ts'
import type { Roster } from './roster.ts'

/** Somebody's agreement as a count sees it. Whether it is genuine was settled before. */
export type Agreement = {
  readonly person: string
  /** Given from the officer's own command line, not in the console. */
  readonly cli: boolean
}

/** What a requirement still lacks: persons, organisations, or approvals from command lines. */
export type Lack =
  | ({ readonly kind: 'persons' } & Missing)
  | { readonly kind: 'orgs'; readonly need: number }
  | { readonly kind: 'cli'; readonly need: number }

/**
 * Whether these agreements meet a requirement. Counted are active officers who stand in its tree and
 * have no part in the request; each of them once, and for organisations and command lines only in
 * the parts of the tree that are met. Adding an agreement never makes it less met.
 * @param input.excluded the requester, and the persons who run a program that asks
 */
export function countRequirement(
  requirement: Requirement,
  input: {
    readonly roster: Roster
    readonly agreements: readonly Agreement[]
    readonly excluded: ReadonlySet<string>
  },
): { readonly met: boolean; readonly lacks: readonly Lack[] } {
  const eligible = eligibleIn(requirement, input)
  const agreed = new Set(eligible.map(({ person }) => person))
  const persons = new Set(countedIn(requirement.quorum, agreed))
  const counted = eligible.filter(({ person }) => persons.has(person))
  const lacks: Lack[] = countQuorum(requirement.quorum, agreed).missing.map((missing) => ({
    kind: 'persons',
    ...missing,
  }))
  const orgs = new Set([...persons].map((id) => personOf(input.roster, id)?.org))
  const wantedOrgs = requirement.separate?.orgs ?? 0
  if (orgs.size < wantedOrgs) lacks.push({ kind: 'orgs', need: wantedOrgs - orgs.size })
  const cli = new Set(counted.flatMap(({ person, cli }) => (cli ? [person] : []))).size
  const wantedCli = requirement.channel?.cli ?? 0
  if (cli < wantedCli) lacks.push({ kind: 'cli', need: wantedCli - cli })
  return { met: lacks.length === 0, lacks }
}

function eligibleIn(
  { quorum }: Requirement,
  input: Parameters<typeof countRequirement>[1],
): Agreement[] {
  const { roster, agreements, excluded } = input
  const inTree = new Set(personsIn(quorum))
  return agreements.filter(({ person: id }) => {
    const person = personOf(roster, id)
    return inTree.has(id) && !excluded.has(id) && person !== null && mayApprove(person)
  })
}

/** `1 more of security: bob, carol`, for people. */
export function lackText(lack: Lack): string {
  switch (lack.kind) {
    case 'persons':
      return `${lack.need} more of ${lack.group}: ${lack.from.join(', ')}`
    case 'orgs':
      return `${lack.need} more organisation${lack.need === 1 ? '' : 's'}`
    case 'cli':
      return `${lack.need} more from the command line`
  }
}
