import { ActRefused } from '../../approval/act.ts'
import { ApprovalError } from '../../approval/error.ts'
import { verifyApproval } from '../../approval/verify.ts'
import type { VerifiedApproval } from '../../approval/verify.ts'
import type { EcdsaVerify } from '../../plc/signature.ts'
import type { PolicySet } from '../../policy/policy-set.ts'
import type { Roster } from '../../policy/roster.ts'
import type { Agreed } from '../entry.ts'

/** By what an agreement of officers is judged: what was in force, and the entry's time in milliseconds. */
export type JudgedBy = {
  readonly policies: PolicySet
  readonly roster: Roster | null
  readonly at: number
  readonly verify: EcdsaVerify
}

/**
 * Whether officers had agreed, by their own signatures.
 * @param weigh says by an ActRefused or ApprovalError that they had not
 * @returns what is wrong; empty: nothing
 */
export async function agreedProblems(
  { approvals }: Pick<Agreed, 'approvals'>,
  { roster, verify }: Pick<JudgedBy, 'roster' | 'verify'>,
  weigh: (approvals: readonly VerifiedApproval[]) => string[],
): Promise<string[]> {
  try {
    const rosters = roster === null ? [] : [roster]
    const verified = []
    for (const raw of approvals) verified.push(await verifyApproval({ raw, rosters, verify }))
    return weigh(verified)
  } catch (error) {
    if (!(error instanceof ActRefused) && !(error instanceof ApprovalError)) throw error
    return [`the officers had not agreed: ${error.message}`]
  }
}
