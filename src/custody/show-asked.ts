import type { RawApproval } from '../approval/evidence.ts'
import type { Requester } from '../approval/matter.ts'
import type { Matter } from '../approval/matter.ts'
import { lackingText } from '../approval/quorum.ts'
import type { VerifiedApproval } from '../approval/verify.ts'
import { weigh } from '../approval/weigh.ts'
import type { Weighed } from '../approval/weigh.ts'
import type { Roster } from '../policy/roster.ts'
import { verifyAll } from './ask.ts'
import type { ApproveDeps } from './approve.ts'
import { askedCaseOf } from './asked-case.ts'
import { rawKey } from './judge-quorum.ts'
import type { StoredRequest } from './ports.ts'

/** What officers are asked about one request, and how far they are. */
export type ShownAsked = {
  readonly requester: Requester
  readonly matter: Matter
  readonly roster: Pick<Roster, 'epoch' | 'digest'>
  readonly standing: Weighed['kind'] | 'void'
  readonly until: number | null
  readonly missing: readonly string[]
  readonly said: readonly {
    readonly person: string
    readonly decision: 'approve' | 'reject'
    readonly by: 'did:key' | 'webauthn'
    readonly counts: boolean
    readonly raw: RawApproval
  }[]
}

/** @returns null for a request that nobody was asked about, or would be today */
export type ShowAsked = (request: StoredRequest) => Promise<ShownAsked | null>

export function createShowAsked(deps: ApproveDeps & { readonly now: () => Date }): ShowAsked {
  return async (request) => {
    const found = await deps.approvals.find(request.id)
    const { roster } = deps.policies
    if (found === null || roster === null) return null
    const { prev } = found.request
    const previous = prev === null ? null : await deps.store.findOperation(prev)
    const asked = askedCaseOf({ ...deps, found, previous })
    if (asked === null) return null
    const { said: raws } = found.asked
    const verified = await verifyAll(deps, { verified: new Map() }, raws)
    const approvals = raws.flatMap((raw) => verified.get(rawKey(raw)) ?? [])
    const { matter, decision } = asked
    const now = deps.now()
    const weighed = weigh({
      matter,
      requirements: decision.requirements,
      approvals,
      roster,
      callers: deps.policies.callers,
      clocks: { instance: now, database: now },
    })
    const ofToday =
      Buffer.compare(found.request.policy, deps.policies.digest) === 0 &&
      Buffer.compare(found.asked.roster, roster.digest) === 0
    return {
      requester: found.asked.requester,
      matter,
      roster,
      // Under other rules, or other officers, it is asked anew at the next call.
      standing: ofToday ? weighed.kind : 'void',
      until: weighed.kind === 'delayed' ? weighed.until : null,
      missing: weighed.kind === 'waiting' ? weighed.missing.map(lackingText) : [],
      said: approvals.map((approval) => showSaid(approval, weighed)),
    }
  }
}

function showSaid({ person, statement, credential, raw }: VerifiedApproval, { voids }: Weighed) {
  return {
    person: person.id,
    decision: statement.decision,
    by: credential.kind,
    counts: !voids.some((given) => given.person === person.id),
    raw,
  }
}
