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

/** Every credential of `next` that the epoch before has not, with the same key, for the same person. */
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

/** Who comes in with `next` and has not accepted, in words; empty: everybody has. */
export function acceptancesLacking(
  old: Roster | null,
  next: Roster,
  accepted: readonly Acceptance[],
): string[] {
  return acceptancesNeeded(old, next)
    .filter(
      (needed) =>
        !accepted.some(
          ({ person, credential }) => person === needed.person && credential === needed.credential,
        ),
    )
    .map(({ person, credential }) => `${person} has not accepted with ${credential}`)
}

/**
 * The form of a whole chain from epoch 1: each step as `stepProblems` asks, and no key that was ever
 * one person's is another's in any later epoch. Who agreed to each step is judged by `weighChange`.
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
