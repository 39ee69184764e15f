import { weighAct } from '../../approval/act.ts'
import { parseThaw, thawAct } from '../../approval/thaw.ts'
import { oneClock } from '../../approval/weigh.ts'
import type { EcdsaVerify } from '../../plc/signature.ts'
import { quoteText } from '../../plc/text.ts'
import { judgeActs } from '../../policy/acts.ts'
import type { PolicySet } from '../../policy/policy-set.ts'
import { mayApprove, personOf } from '../../policy/roster.ts'
import { TrustError } from '../../trust/error.ts'
import { freezeText, parseFreeze } from '../../trust/freeze.ts'
import type { Freeze } from '../../trust/freeze.ts'
import type { AuditEntry } from '../entry.ts'
import { agreedProblems } from './agreed.ts'
import type { JudgedBy } from './agreed.ts'
import type { InForce } from './in-force.ts'

/**
 * By then nothing is claimed any more that a freeze stops: an instance reads the record once a second, a claim
 * under way ends within its statement's ten seconds, and clocks may be five apart.
 */
const SETTLED_MS = 30_000

type Say = (message: string) => void
type Of<K> = AuditEntry & { readonly kind: K }

/**
 * What was frozen, as the log tells it. The record outside the database is written first, and the database may
 * be away then: so a freeze may be lifted here that no entry told of, and that proves nothing.
 */
export function createFreezes(inForce: InForce, verify: EcdsaVerify) {
  const standing = new Map<string, Freeze>()
  /** Its entry may come late, after the thaw: each freeze has a beginning of its own, and is lifted once. */
  const lifted = new Set<string>()

  function takeFrozen({ scope, since, by }: Of<'signing.frozen'>, say: Say): void {
    try {
      const text = freezeText({ scope, since, by })
      const freeze = parseFreeze(text)
      if (!lifted.has(text)) standing.set(text, freeze)
    } catch (error) {
      if (!(error instanceof TrustError)) throw error
      say('it is no freeze')
    }
  }

  /** @param store the id of the held record whose freezes they are; null: the log has not told it */
  async function takeThawed(
    entry: Of<'signing.thawed'>,
    { at, store }: { readonly at: number; readonly store: string | null },
    say: Say,
  ): Promise<void> {
    const policies = inForce.set()
    if (policies === null) say('nothing is in force by which anything could be lifted')
    else {
      const given = { policies, roster: inForce.roster(), at, verify }
      const found = await thawProblems(entry, { ...given, store })
      found.forEach(say)
    }
    for (const text of entry.frozen) {
      standing.delete(text)
      lifted.add(text)
    }
  }

  /** A key that is used long after it, or its caller, was frozen. */
  function checkIntent(
    { caller, keyDid }: { readonly caller: string; readonly keyDid: string },
    at: number,
    say: Say,
  ): void {
    if (standing.size === 0) return
    const key = inForce.set()?.keys.find(({ did }) => did === keyDid)?.id
    const scopes = ['all', `caller ${caller}`, `key ${key ?? ''}`]
    for (const { scope, since } of standing.values()) {
      if (scopes.includes(scope) && at > Date.parse(since) + SETTLED_MS) {
        say(`${scope} was frozen since ${since}`)
      }
    }
  }

  function checkAllowed({ person, frozen }: Of<'submission.allowed'>, say: Say): void {
    const officer = inForce.roster()
    const known = officer === null ? null : personOf(officer, person)
    if (known === null || !mayApprove(known)) say(`${quoteText(person)} is no officer in force`)
    const own = [...standing.values()].find(
      ({ scope, by }) => frozen.includes(scope) && by === `person:${person}`,
    )
    if (own !== undefined) say(`${person} has frozen ${own.scope}, and another officer must say it`)
  }

  return { takeFrozen, takeThawed, checkIntent, checkAllowed }
}

async function thawProblems(
  { frozen, agreed }: Of<'signing.thawed'>,
  given: JudgedBy & { readonly store: string | null },
): Promise<string[]> {
  const { policies, roster, at, store } = given
  if (agreed === null)
    return asksNobody(policies) ? [] : ['officers decide this, and none was asked']
  return await agreedProblems(agreed, given, (approvals) => {
    const request = parseThaw(agreed.request, 'the request')
    const isThis =
      request.env === policies.env &&
      (store === null || request.store === store) &&
      request.frozen.join() === frozen.join()
    if (!isThis) return ['the officers agreed to something else']
    const clocks = oneClock(new Date(at))
    const { approvers } = weighAct(thawAct(request), { policies, roster, approvals, clocks })
    return approvers.length === 0 ? ['no officer has approved it'] : []
  })
}

function asksNobody(policies: PolicySet): boolean {
  return judgeActs(policies, [{ class: 'thaw', key: 'none' }]).kind === 'allow'
}
