import type { SayingBody } from '../../../src/api/request.ts'
import { ApprovalError } from '../../../src/approval/error.ts'
import { encodeEvidence } from '../../../src/approval/evidence.ts'
import { evidenceFromText } from '../../../src/approval/evidence-text.ts'
import { lackingText } from '../../../src/approval/quorum.ts'
import { verifyApproval } from '../../../src/approval/verify.ts'
import type { VerifiedApproval } from '../../../src/approval/verify.ts'
import { weigh } from '../../../src/approval/weigh.ts'
import { openVerifier } from '../../../src/ecdsa/native.ts'
import { escapeText } from '../../../src/plc/text.ts'
import type { PolicySet } from '../../../src/policy/policy-set.ts'
import type { Roster } from '../../../src/policy/roster.ts'
import { Refusal } from '../../offline/command.ts'
import type { AskedView, Review } from './review.ts'

/** Who has spoken, as this machine verified it, and what it comes to. */
export type Spoken = {
  readonly said: readonly {
    readonly person: string
    readonly decision: 'approve' | 'reject'
    /** null: it counts. */
    readonly void: string | null
  }[]
  readonly missing: readonly string[]
}

/**
 * Verifies every statement that the service shows, by the officer's own roster, and weighs them by this
 * machine's clock. That one is missing nobody can see here: the service may hide what was said.
 * @throws Refusal when one is no evidence of what it is said to be
 */
export async function weighSaid(
  view: AskedView,
  review: Review,
  { policies, now }: { readonly policies: PolicySet; readonly now: Date },
): Promise<Spoken> {
  const approvals: VerifiedApproval[] = []
  for (const shown of view.approval.said) {
    const approval = await verifySaid(shown.saying, review.roster)
    const { person, decision } = approval.statement
    if (person !== shown.person || decision !== shown.decision) {
      throw new Refusal(`approval.said: ${escapeText(shown.person)} did not say ${shown.decision}`)
    }
    approvals.push(approval)
  }
  const { matter, decision, roster } = review
  const { requirements } = decision
  const clocks = { instance: now, database: now }
  const { callers } = policies
  const weighed = weigh({ matter, requirements, approvals, roster, callers, clocks })
  const reasonOf = (id: string) => weighed.voids.find(({ person }) => person === id)?.reason ?? null
  return {
    said: approvals.map(({ person, statement }) => ({
      person: person.id,
      decision: statement.decision,
      void: reasonOf(person.id),
    })),
    missing: weighed.kind === 'waiting' ? weighed.missing.map(lackingText) : [],
  }
}

async function verifySaid(saying: SayingBody, roster: Roster): Promise<VerifiedApproval> {
  try {
    const statement = Uint8Array.from(Buffer.from(saying.statement, 'base64'))
    const evidence = encodeEvidence(evidenceFromText(saying.evidence))
    const { verify } = openVerifier()
    return await verifyApproval({ raw: { statement, evidence }, rosters: [roster], verify })
  } catch (error) {
    if (!(error instanceof ApprovalError)) throw error
    throw new Refusal(`approval.said: is no evidence: ${error.message}`, { cause: error })
  }
}
