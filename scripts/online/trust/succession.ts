import type { Context } from '../../../src/context.ts'
import { acceptancesLacking, chainProblems } from '../../../src/policy/roster-change.ts'
import type { Roster } from '../../../src/policy/roster.ts'
import { findRosterChain } from '../../../src/store/policy-sets.ts'
import type { Acceptance } from '../../../src/approval/acceptance.ts'
import { Refusal } from '../../offline/command.ts'

/**
 * That these officers may follow those in force, whoever agrees to it.
 * @throws Refusal saying all that is wrong
 */
export async function requireSuccession(
  { db }: Context,
  { old, next }: { readonly old: Roster; readonly next: Roster | null },
): Promise<void> {
  if (next === null) throw new Refusal('roster.yaml: a log that has officers keeps officers')
  if (Buffer.compare(old.digest, next.digest) === 0) return
  const chain = await findRosterChain(db, old)
  if (chain === null) {
    throw new Refusal('the database does not hold every epoch of officers up to the one in force')
  }
  const problems = chainProblems([...chain, next])
  if (problems.length > 0) throw new Refusal(`roster.yaml: ${problems.join('; ')}`)
}

/** Who comes in has signed the whole epoch, with each credential that comes in. @throws Refusal */
export function requireAccepted(
  { old, next }: { readonly old: Roster; readonly next: Roster },
  accepted: readonly Acceptance[],
): void {
  const lacks = acceptancesLacking(old, next, accepted)
  if (lacks.length === 0) return
  throw new Refusal(`${lacks.join('; ')} (officers accept --out FILE, then --accepted FILE)`)
}
