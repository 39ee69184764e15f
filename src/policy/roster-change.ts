import { judgeActs } from './acts.ts'
import { countRequirement, lackText } from './count.ts'
import type { Agreement } from './count.ts'
import type { PolicySet } from './policy-set.ts'
import { credentialDid, personOf } from './roster.ts'
import type { Roster } from './roster.ts'

/** A credential that came in: who has it signs the whole new epoch with it, or it never counts. */
export type Acceptance = { readonly person: string; readonly credential: string }

/**
 * What stands between one epoch and the next, whoever approved it; empty: it may follow. Nobody
 * disappears: who leaves stays as a removed, dead member, so that no threshold falls with them, and
 * never comes back under the same name.
 */
export function stepProblems(old: Roster, next: Roster): string[] {
  const problems: string[] = []
  if (next.epoch !== old.epoch + 1) problems.push(`epoch ${next.epoch} cannot follow ${old.epoch}`)
  if (next.previous === null || Buffer.compare(next.previous, old.digest) !== 0) {
    problems.push('previous is not the digest of the epoch before')
  }
  if (next.env !== old.env) problems.push(`env changes from ${old.env} to ${next.env}`)
  for (const { id, status } of old.persons) {
    const now = personOf(next, id)
    if (now === null) problems.push(`person ${id} is gone; write status: removed`)
    else if (status === 'removed' && now.status === 'active') {
      problems.push(`person ${id} was removed for good; give a new id`)
    }
  }
  return problems
}

/** Every credential that the epoch before has not, with the same key, for the same person. */
export function acceptancesNeeded(old: Roster | null, next: Roster): Acceptance[] {
  const name = (person: string, id: string, did: string) => JSON.stringify([person, id, did])
  const known = new Set(
    (old?.persons ?? []).flatMap(({ id, credentials }) =>
      credentials.map((credential) => name(id, credential.id, credentialDid(credential))),
    ),
  )
  return next.persons.flatMap(({ id, credentials }) =>
    credentials
      .filter((credential) => !known.has(name(id, credential.id, credentialDid(credential))))
      .map((credential) => ({ person: id, credential: credential.id })),
  )
}

export type RosterChange = {
  readonly old: Roster
  readonly next: Roster
  /** In force before the change: the old quorum decides, never the new one. */
  readonly policies: Pick<PolicySet, 'rules' | 'denies'>
  /** Verified by the caller: under the old epoch, for exactly the digest of the next one. */
  readonly agreements: readonly Agreement[]
  readonly accepted: readonly Acceptance[]
  readonly requester: string
}

/** All that is missing before a new epoch may be in force; empty: nothing. */
export function changeLacks(change: RosterChange): string[] {
  const { old, next, policies, agreements, accepted, requester } = change
  const decision = judgeActs(policies, [{ class: 'roster', key: 'none' }])
  const input = { roster: old, agreements, excluded: new Set([requester]) }
  const given = new Set(accepted.map((each) => JSON.stringify([each.person, each.credential])))
  return [
    ...stepProblems(old, next),
    ...(decision.kind === 'deny' ? decision.findings.map(({ message }) => message) : []),
    // Where there are officers, nothing of theirs changes by nobody's word.
    ...(decision.kind === 'allow' ? ['no rule asks for a quorum to change the officers'] : []),
    ...(decision.kind === 'require' ? decision.requirements : []).flatMap((asked) =>
      countRequirement(asked, input).lacks.map(lackText),
    ),
    ...acceptancesNeeded(old, next)
      .filter(({ person, credential }) => !given.has(JSON.stringify([person, credential])))
      .map(({ person, credential }) => `${person} has not accepted with ${credential}`),
  ]
}

/**
 * The form of a whole chain from epoch 1: each step as `stepProblems` asks, and no key that was ever
 * one person's is another's in any later epoch. Approvals of each step are judged by `changeLacks`.
 */
export function chainProblems(chain: readonly Roster[]): string[] {
  const [first] = chain
  if (first === undefined) return ['a chain has at least one epoch']
  const start =
    first.epoch === 1 && first.previous === null ? [] : ['the chain does not begin at epoch 1']
  const steps = chain.slice(1).flatMap((next, index) => stepProblems(chain[index]!, next))
  return [...start, ...steps, ...changedHands(chain)]
}

function changedHands(chain: readonly Roster[]): string[] {
  const owners = new Map<string, string>()
  return chain.flatMap(({ epoch, persons }) =>
    persons.flatMap((person) =>
      person.credentials.flatMap((credential) => {
        const did = credentialDid(credential)
        const owner = owners.get(did) ?? person.id
        owners.set(did, owner)
        return owner === person.id
          ? []
          : [`epoch ${epoch}: credential ${credential.id} of ${person.id} was one of ${owner}`]
      }),
    ),
  )
}
