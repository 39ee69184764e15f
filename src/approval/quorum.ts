import { countRequirement, lackText } from '../policy/count.ts'
import type { Lack } from '../policy/count.ts'
import type { Requirement } from '../policy/policy-set.ts'
import type { Roster } from '../policy/roster.ts'
import type { VerifiedApproval } from './verify.ts'

/** What a requirement still lacks, and the rule that asks for it. */
export type Lacking = Lack & { readonly rule: string }

export type Tally = { readonly met: boolean; readonly missing: readonly Lacking[] }

/**
 * Counts persons, whatever the number of their approvals and credentials, for each requirement.
 * @param input.approvals each of which counts on its own
 * @param input.excluded persons who asked, or who operate the program that did
 */
export function tally(input: {
  readonly requirements: readonly Requirement[]
  readonly approvals: readonly VerifiedApproval[]
  readonly roster: Roster | null
  readonly excluded: ReadonlySet<string>
}): Tally {
  const { requirements, approvals, roster, excluded } = input
  // Without officers, or without a requirement, everything would be met by nobody.
  if (roster === null || requirements.length === 0) return { met: false, missing: [] }
  const agreements = approvals.map(({ person, credential }) => ({
    person: person.id,
    cli: credential.kind === 'did:key',
  }))
  const missing = requirements.flatMap((requirement) =>
    countRequirement(requirement, { roster, agreements, excluded }).lacks.map((lack) => ({
      ...withoutExcluded(lack, excluded),
      rule: requirement.rule,
    })),
  )
  return { met: missing.length === 0, missing }
}

/** Who asked is not among those who could still agree. */
function withoutExcluded(lack: Lack, excluded: ReadonlySet<string>): Lack {
  if (lack.kind !== 'persons') return lack
  return { ...lack, from: lack.from.filter((id) => !excluded.has(id)) }
}

/** `2 more of security: bob, carol`, for people. */
export function lackingText(lacking: Lacking): string {
  return lackText(lacking)
}
