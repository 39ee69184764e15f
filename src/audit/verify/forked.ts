import { weighAct } from '../../approval/act.ts'
import { ApprovalError } from '../../approval/error.ts'
import { logForkAct, parseLogFork } from '../../approval/log-fork.ts'
import type { LogForkRequest } from '../../approval/log-fork.ts'
import { decodeStatement } from '../../approval/statement.ts'
import { oneClock } from '../../approval/weigh.ts'
import type { RawApproval } from '../../approval/evidence.ts'
import type { PolicySet } from '../../policy/policy-set.ts'
import type { AuditEntry } from '../entry.ts'
import { agreedProblems } from './agreed.ts'
import type { JudgedBy } from './agreed.ts'

export type Forked = AuditEntry & { readonly kind: 'log.forked' }

/**
 * Whether a log was let go on without entries as its policies ask.
 * @returns what is wrong, and what cannot be judged: which policies were in force may be lost with the entries
 */
export async function forkProblems(
  entry: Forked,
  given: JudgedBy,
): Promise<{ readonly problems: readonly string[]; readonly unjudged: string | null }> {
  const { policies, roster, at } = given
  const { approvals } = entry.agreed
  if (approvals.some((raw) => isOfOthers(raw, policies))) {
    return { problems: [], unjudged: 'it was approved under policies that are not in the log' }
  }
  const problems = await agreedProblems(entry.agreed, given, (verified) => {
    const request = parseLogFork(entry.agreed.request, 'the request')
    if (request.env !== policies.env || !isThis(request, entry)) {
      return ['the officers agreed to something else']
    }
    const clocks = oneClock(new Date(at))
    weighAct(logForkAct(request), { policies, roster, approvals: verified, clocks })
    return []
  })
  return { problems, unjudged: null }
}

function isOfOthers({ statement }: RawApproval, { digest }: PolicySet): boolean {
  try {
    return Buffer.compare(decodeStatement(statement).policy.digest, digest) !== 0
  } catch (error) {
    // What is no statement is said where it is verified.
    if (error instanceof ApprovalError) return false
    throw error
  }
}

function isThis({ from, had, origin, checkpointKey }: LogForkRequest, entry: Forked): boolean {
  return (
    from.origin === entry.from &&
    from.size === entry.size &&
    from.root === Buffer.from(entry.root).toString('hex') &&
    had === entry.had &&
    origin === entry.origin &&
    checkpointKey === entry.checkpointKey
  )
}
