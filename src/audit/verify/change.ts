import { checkAcceptance, firstEpochLacks, parseAcceptance } from '../../approval/acceptance.ts'
import type { Acceptance } from '../../approval/acceptance.ts'
import { isOf, parseChangeRequest, weighChange } from '../../approval/change.ts'
import { ApprovalError } from '../../approval/error.ts'
import { oneClock } from '../../approval/weigh.ts'
import type { EcdsaVerify } from '../../plc/signature.ts'
import { acceptancesLacking } from '../../policy/roster-change.ts'
import type { Roster } from '../../policy/roster.ts'
import type { AuditEntry } from '../entry.ts'
import { agreedProblems } from './agreed.ts'
import type { JudgedBy } from './agreed.ts'

export type Trusted = AuditEntry & { kind: 'trust.changed' }

export type Accepted = { readonly document: Uint8Array; readonly at: number }

/**
 * Whether the officers in force agreed to what is put in force, by their own signatures.
 * @param given.at of the entry, in milliseconds
 * @returns what is wrong; empty: nothing
 */
export async function changeProblems(
  entry: Trusted,
  given: JudgedBy & { readonly roster: Roster },
): Promise<string[]> {
  const { policies, roster, at } = given
  const { agreed } = entry
  if (entry.by === 'operator') {
    return ['where there are officers, nothing is put in force by the word of an operator']
  }
  if (agreed === null) return ['it does not say what the officers agreed to']
  return await agreedProblems(agreed, given, (approvals) => {
    const request = parseChangeRequest(agreed.request)
    const isThis =
      request.sequence === entry.sequence &&
      request.env === policies.env &&
      isOf(request.to, { digest: entry.policies, roster: entry.roster })
    if (!isThis) return ['the officers agreed to something else']
    weighChange(request, { policies, roster, approvals, clocks: oneClock(new Date(at)) })
    return []
  })
}

/**
 * Whether whoever comes in with an epoch has signed it whole.
 * @param given.old in force before; null for the first officers, of whom each must have signed
 * @param given.documents of the acceptances, as they were handed in, each with its time in milliseconds
 * @returns what is wrong; empty: nothing
 */
export async function acceptanceProblems(given: {
  readonly old: Roster | null
  readonly next: Roster
  readonly documents: readonly Accepted[]
  readonly verify: EcdsaVerify
}): Promise<string[]> {
  const { old, next, documents, verify } = given
  const problems: string[] = []
  const accepted: Acceptance[] = []
  for (const { document, at } of documents) {
    try {
      const acceptance = parseAcceptance(Buffer.from(document).toString('utf8'))
      await checkAcceptance(acceptance, { roster: next, verify, at: new Date(at) })
      accepted.push(acceptance)
    } catch (error) {
      if (!(error instanceof ApprovalError)) throw error
      problems.push(error.message)
    }
  }
  if (old === null) return [...problems, ...firstEpochLacks(next, accepted)]
  return [...problems, ...acceptancesLacking(old, next, accepted)]
}
