import type { Signatory } from '../../../src/approval/matter.ts'
import type { PolicySet } from '../../../src/policy/policy-set.ts'
import { personsIn } from '../../../src/policy/quorum.ts'
import { mayApprove } from '../../../src/policy/roster.ts'
import type { Roster } from '../../../src/policy/roster.ts'
import { Refusal } from '../../offline/command.ts'
import type { Review } from './review.ts'

/** Whose key this is, by the officer's own copy of the roster. @throws Refusal */
export function ownerOf(
  roster: Roster,
  did: string,
  now: Date,
): Pick<Signatory, 'person' | 'credential'> {
  const seconds = Math.floor(now.getTime() / 1000)
  for (const person of roster.persons.filter(mayApprove)) {
    const credential = person.credentials.find((own) => own.kind === 'did:key' && own.did === did)
    if (credential === undefined) continue
    if (credential.from <= seconds && seconds < credential.until) {
      return { person: person.id, credential: credential.id }
    }
    throw new Refusal(`the credential ${credential.id} of ${person.id} is not valid now`)
  }
  throw new Refusal(`${did} is the key of no active officer of roster epoch ${roster.epoch}`)
}

/**
 * That an approval of this person would count. Who asked, or runs the program that did, never does.
 * @throws Refusal
 */
export function requireCounts(
  person: string,
  review: Review,
  { policies, now }: { readonly policies: PolicySet; readonly now: Date },
): void {
  const { requester, terms } = review.matter
  if (requester.kind === 'person' && requester.id === person) {
    throw new Refusal(`${person} asked for this, and so does not approve it`)
  }
  const caller = policies.callers.find(
    ({ name }) => requester.kind === 'caller' && name === requester.name,
  )
  if (caller?.operatedBy?.includes(person) === true) {
    throw new Refusal(
      `${person} operates ${caller.name}, which asked for this, and so does not approve it`,
    )
  }
  if (!review.decision.requirements.some(({ quorum }) => personsIn(quorum).includes(person))) {
    throw new Refusal(`${person} is in no quorum of ${review.decision.rules.join(', ')}`)
  }
  if (Math.floor(now.getTime() / 1000) >= terms.approveBy) {
    throw new Refusal('approval.approveBy: it is too late to approve')
  }
}
