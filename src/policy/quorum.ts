/**
 * Who must agree: a person, or at least `k` of a group's members. Nested as in C2SP tlog-policy
 * groups; `any` and `all` are `k` of 1 and of all once a policy is parsed. Each person and each group
 * stands in a tree at most once, and 1 ≤ k ≤ the members, so that a count is what it looks like.
 */
export type QuorumNode =
  | { readonly kind: 'person'; readonly id: string }
  | {
      readonly kind: 'group'
      readonly id: string
      readonly k: number
      readonly of: readonly QuorumNode[]
    }

/** What a group still lacks: `need` more of the members that `from` names. */
export type Missing = {
  readonly group: string
  readonly need: number
  readonly from: readonly string[]
}

export type Count = { readonly met: boolean; readonly missing: readonly Missing[] }

/** Counts persons, whatever the number of their credentials; says what is missing, outermost first. */
export function countQuorum(node: QuorumNode, agreed: ReadonlySet<string>): Count {
  if (node.kind === 'person') {
    const met = agreed.has(node.id)
    return { met, missing: met ? [] : [{ group: node.id, need: 1, from: [node.id] }] }
  }
  const members = node.of.map((member) => ({ member, count: countQuorum(member, agreed) }))
  const open = members.filter(({ count }) => !count.met)
  const need = node.k - (members.length - open.length)
  if (need <= 0) return { met: true, missing: [] }
  const own = { group: node.id, need, from: open.map(({ member }) => member.id) }
  const nested = open.filter(({ member }) => member.kind === 'group')
  return { met: false, missing: [own, ...nested.flatMap(({ count }) => count.missing)] }
}

/** The persons who make a tree true: those in the parts of it that are met. */
export function countedIn(node: QuorumNode, agreed: ReadonlySet<string>): string[] {
  if (node.kind === 'person') return agreed.has(node.id) ? [node.id] : []
  if (!countQuorum(node, agreed).met) {
    // The outermost group, still open: what is there already counts, so that the rest can be named.
    return node.of.flatMap((member) => countedIn(member, agreed))
  }
  return node.of
    .filter((member) => countQuorum(member, agreed).met)
    .flatMap((member) => countedIn(member, agreed))
}

/** Everybody in a tree, in its order. */
export function personsIn(node: QuorumNode): string[] {
  return node.kind === 'person' ? [node.id] : node.of.flatMap(personsIn)
}

/** `2 of security (alice, bob, carol)`, for people. */
export function quorumText(node: QuorumNode): string {
  if (node.kind === 'person') return node.id
  const inner = node.of.map(quorumText).join(', ')
  return `${node.k} of ${node.id} (${inner})`
}
