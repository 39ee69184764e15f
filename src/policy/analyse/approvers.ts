import { countRequirement } from '../count.ts'
import type { Requirement } from '../policy-set.ts'
import { personsIn } from '../quorum.ts'
import type { QuorumNode } from '../quorum.ts'
import { mayApprove } from '../roster.ts'
import type { Person, Roster } from '../roster.ts'

/** As many sets of approvers are walked through; beyond, nothing is proven. */
const MAX_SETS = 1 << 16

/**
 * Every set of officers that these requirements could tell apart, by how many they are of those who
 * stand in the same groups and organisation. null: too many to walk through.
 */
export function approverSets(
  requirements: readonly Requirement[],
  roster: Roster,
): Set<string>[] | null {
  const inTrees = new Set(requirements.flatMap(({ quorum }) => personsIn(quorum)))
  const persons = roster.persons.filter((person) => inTrees.has(person.id) && mayApprove(person))
  const classes = [
    ...Map.groupBy(persons, (person) =>
      JSON.stringify([
        person.org,
        ...requirements.map(({ quorum }) => parentOf(quorum, person.id)),
      ]),
    ).values(),
  ]
  if (classes.reduce((product, { length }) => product * (length + 1), 1) > MAX_SETS) return null
  return classes
    .reduce<Person[][]>(
      (found, members) =>
        found.flatMap((chosen) =>
          Array.from({ length: members.length + 1 }, (_, count) => [
            ...chosen,
            ...members.slice(0, count),
          ]),
        ),
      [[]],
    )
    .map((chosen) => new Set(chosen.map(({ id }) => id)))
}

function parentOf(node: QuorumNode, person: string): string | null {
  if (node.kind === 'person') return null
  const isHere = node.of.some((member) => member.kind === 'person' && member.id === person)
  if (isHere) return node.id
  return node.of.map((member) => parentOf(member, person)).find((found) => found !== null) ?? null
}

/** Whether these officers, all from their command lines, would meet all of the requirements. */
export function agree(
  requirements: readonly Requirement[],
  persons: ReadonlySet<string>,
  roster: Roster,
): boolean {
  const agreements = [...persons].map((person) => ({ person, cli: true }))
  return requirements.every(
    (requirement) => countRequirement(requirement, { roster, agreements, excluded: new Set() }).met,
  )
}

/** The fewest persons who meet all of the requirements; null: nobody can, or it cannot be said. */
export function fewestPersons(requirements: readonly Requirement[], roster: Roster): number | null {
  if (requirements.length === 0) return 0
  const meeting = approverSets(requirements, roster)?.filter((set) =>
    agree(requirements, set, roster),
  )
  if (meeting === undefined || meeting.length === 0) return null
  return Math.min(...meeting.map(({ size }) => size))
}

export type Weaker =
  | { readonly kind: 'persons'; readonly example: readonly string[] }
  | { readonly kind: 'cli' | 'delay'; readonly has: number; readonly needs: number }
  | { readonly kind: 'unknown' }

/**
 * In what `strict` asks for less than `lax`; empty: whoever meets it has met the other one too. By
 * walking through every set of approvers, not by comparing numbers. A witness is no part of it: where no key is
 * used, nothing waits for one.
 */
export function weakerIn(
  strict: readonly Requirement[],
  lax: readonly Requirement[],
  roster: Roster,
): Weaker[] {
  const found: Weaker[] = []
  const sets = approverSets([...strict, ...lax], roster)
  if (sets === null) found.push({ kind: 'unknown' })
  const enough = sets?.find((set) => agree(strict, set, roster) && !agree(lax, set, roster))
  if (enough !== undefined) found.push({ kind: 'persons', example: [...enough] })
  for (const kind of ['cli', 'delay'] as const) {
    const [has, needs] = [most(strict, kind), most(lax, kind)]
    if (has < needs) found.push({ kind, has, needs })
  }
  return found
}

function most(requirements: readonly Requirement[], kind: 'cli' | 'delay'): number {
  const values = requirements.map((each) =>
    kind === 'cli' ? (each.channel?.cli ?? 0) : each.delay,
  )
  return Math.max(0, ...values)
}

/** Who could approve at `now`, and how: the agreements that could come in. */
export function available(
  roster: Roster,
  { now, didKeyOnly }: { now: Date; didKeyOnly: boolean },
): { person: string; cli: boolean }[] {
  const seconds = now.getTime() / 1000
  return roster.persons.filter(mayApprove).flatMap((person) => {
    const valid = person.credentials.filter(({ from, until }) => from <= seconds && seconds < until)
    const cli = valid.some(({ kind }) => kind === 'did:key')
    return cli || (valid.length > 0 && !didKeyOnly) ? [{ person: person.id, cli }] : []
  })
}
