import type { Requirement } from '../policy/policy-set.ts'
import { countedIn, countQuorum } from '../policy/quorum.ts'
import type { VerifiedApproval } from './verify.ts'

/** What a requirement still lacks. */
export type Lacking =
  /** `need` more of the members that `from` names; who asked is not among them. */
  | {
      readonly kind: 'persons'
      readonly rule: string
      readonly group: string
      readonly need: number
      readonly from: readonly string[]
    }
  /** Approvals from `need` more organisations. */
  | { readonly kind: 'orgs'; readonly rule: string; readonly need: number }
  /** `need` more approvals from officers' command lines. */
  | { readonly kind: 'cli'; readonly rule: string; readonly need: number }

export type Tally = { readonly met: boolean; readonly missing: readonly Lacking[] }

/**
 * Counts persons, whatever the number of their approvals and credentials. Of those only, who stand in a
 * group that is met count for its organisations and channels: a lone member of another group adds
 * nothing. One more approval never takes anything away.
 * @param approvals each of which counts on its own
 * @param excluded persons who asked, or who operate the program that did
 */
export function tally(
  requirements: readonly Requirement[],
  approvals: readonly VerifiedApproval[],
  excluded: ReadonlySet<string>,
): Tally {
  const counting = approvals.filter(({ person }) => !excluded.has(person.id))
  const missing = requirements.flatMap((requirement) => lackingOf(requirement, counting, excluded))
  // No requirement at all would be met by nobody.
  return { met: requirements.length > 0 && missing.length === 0, missing }
}

function lackingOf(
  { rule, quorum, separate, channel }: Requirement,
  approvals: readonly VerifiedApproval[],
  excluded: ReadonlySet<string>,
): Lacking[] {
  const agreed = new Set(approvals.map(({ person }) => person.id))
  const count = countQuorum(quorum, agreed)
  const counted = new Set(countedIn(quorum, agreed))
  const counting = approvals.filter(({ person }) => counted.has(person.id))
  const orgs = new Set(counting.map(({ person }) => person.org)).size
  const byCli = counting.filter(({ credential }) => credential.kind === 'did:key')
  const cli = new Set(byCli.map(({ person }) => person.id)).size
  const lacking = (kind: 'orgs' | 'cli', need: number): Lacking[] =>
    need > 0 ? [{ kind, rule, need }] : []
  return [
    ...count.missing.map(({ group, need, from }): Lacking => ({
      kind: 'persons',
      rule,
      group,
      need,
      from: from.filter((id) => !excluded.has(id)),
    })),
    ...lacking('orgs', (separate?.orgs ?? 0) - orgs),
    ...lacking('cli', (channel?.cli ?? 0) - cli),
  ]
}

/** `1 more of security: bob, carol`, for people. */
export function lackingText(lacking: Lacking): string {
  const { need } = lacking
  switch (lacking.kind) {
    case 'persons':
      return `${need} more of ${lacking.group}: ${lacking.from.join(', ') || 'nobody is left'}`
    case 'orgs':
      return `approvals from ${need} more organisation${need === 1 ? '' : 's'}`
    case 'cli':
      return `${need} more approval${need === 1 ? '' : 's'} from an officer's command line`
  }
}
