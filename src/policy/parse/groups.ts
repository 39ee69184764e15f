import { z } from 'zod'
import type { QuorumNode } from '../quorum.ts'
import { personsIn } from '../quorum.ts'
import { mayApprove, personOf } from '../roster.ts'
import type { Roster } from '../roster.ts'
import { malformed, name, oneOrMore, refuseRepeats } from './file.ts'

/** `{ k: 2, of: [...] }`, `{ any: [...] }` or `{ all: [...] }`: persons and groups by name. */
export const groupsSchema = z.record(
  name,
  z.union(
    [
      z.strictObject({ k: z.int(), of: oneOrMore(name) }),
      z.strictObject({ any: oneOrMore(name) }),
      z.strictObject({ all: oneOrMore(name) }),
    ],
    'write { k: 2, of: [names] }, { any: [names] } or { all: [names] }',
  ),
)

export type Group = QuorumNode & { readonly kind: 'group' }

type Written = { readonly k: number; readonly of: readonly string[] }

/**
 * Every group as a tree of persons. Refused: a threshold below 1 or above the members (with none of
 * them, a vote of nobody would pass), a name that is neither person nor group or is both, a group
 * inside itself, and whoever stands in one tree twice, who would be counted twice.
 */
export function resolveGroups(
  written: z.infer<typeof groupsSchema>,
  roster: Roster | null,
): Group[] {
  const groups = new Map(Object.entries(written).map(([id, group]) => [id, membersOf(group)]))
  for (const [id, group] of groups) checkGroup(id, group, roster)
  return [...groups.keys()].map((id) => resolveGroup(id, [], { groups, roster }))
}

function membersOf(group: z.infer<typeof groupsSchema>[string]): Written {
  if ('any' in group) return { k: 1, of: group.any }
  if ('all' in group) return { k: group.all.length, of: group.all }
  return group
}

const where = (id: string) => `policy.yaml: group ${id}`

function checkGroup(id: string, { k, of }: Written, roster: Roster | null): void {
  if (roster !== null && personOf(roster, id) !== null) {
    throw malformed(`${where(id)}: a person in roster.yaml has the same name`)
  }
  refuseRepeats(where(id), 'member', of)
  if (k < 1) throw malformed(`${where(id)}: k is ${k}; nobody would have to agree`)
  if (k > of.length) {
    throw malformed(`${where(id)}: k is ${k}, but there are ${of.length} members`)
  }
}

function resolveGroup(
  id: string,
  inside: readonly string[],
  known: { groups: ReadonlyMap<string, Written>; roster: Roster | null },
): Group {
  const { k, of } = known.groups.get(id)!
  const path = [...inside, id]
  const members = of.map((member): QuorumNode => {
    if (!known.groups.has(member)) return person(id, member, known.roster)
    if (path.includes(member)) throw malformed(`${where(member)}: it is a member of itself`)
    return resolveGroup(member, path, known)
  })
  const group: Group = { kind: 'group', id, k, of: members }
  refuseRepeats(where(id), 'person', personsIn(group))
  refuseRepeats(where(id), 'group', groupsIn(group))
  return group
}

function person(group: string, id: string, roster: Roster | null): QuorumNode {
  const found = roster === null ? null : personOf(roster, id)
  if (found === null) {
    const missing = roster === null ? ', and there is no roster.yaml' : ' in roster.yaml'
    throw malformed(`${where(group)}: ${id} is neither a group nor a person${missing}`)
  }
  // A removed officer stays in as a dead member: taking them out would be another policy.
  if (found.status === 'active' && !mayApprove(found)) {
    throw malformed(`${where(group)}: ${id} has not the role officer in roster.yaml`)
  }
  return { kind: 'person', id }
}

function groupsIn(node: QuorumNode): string[] {
  return node.kind === 'person' ? [] : [node.id, ...node.of.flatMap(groupsIn)]
}
