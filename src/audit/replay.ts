import { decodeSignedOperation, decodeUnsignedOperation } from '../plc/encode.ts'
import { requirementText } from '../policy/compare.ts'
import { evaluate } from '../policy/evaluate.ts'
import type { Decision } from '../policy/evaluate.ts'
import type { PreviousOperation } from '../policy/facts.ts'
import type { PolicySet } from '../policy/policy-set.ts'
import type { JudgedRequest } from './entry.ts'

/** What one recorded question would be answered otherwise under another policy set. */
export type Replayed = {
  readonly direction: 'looser' | 'tighter' | 'otherwise'
  /** What was asked, and both answers, for people. */
  readonly text: string
}

/**
 * Judges a recorded question under two sets, with all that was counted and seen at that time. Uses of a
 * rule that only one of them has are counted as none.
 * @param at of its entry, in milliseconds
 * @returns null when both answer alike
 */
export function replay(
  entry: JudgedRequest,
  at: number,
  { old, next }: { readonly old: PolicySet; readonly next: PolicySet },
): Replayed | null {
  if (wasTaken(entry.decision)) return null
  const [before, after] = [judgeAgain(entry, at, old), judgeAgain(entry, at, next)]
  const [was, is] = [answerText(before), answerText(after)]
  if (was === is) return null
  const changes = entry.changes.length === 0 ? '' : ` (${entry.changes.join(', ')})`
  const direction = directionOf(before, after)
  return { direction, text: `${entry.class}${changes} by ${entry.caller}: ${was} → ${is}` }
}

/** Another signature held its `prev`: no policy decides that, so none would have let it pass. */
function wasTaken(decision: Decision): boolean {
  return (
    decision.kind === 'deny' &&
    decision.findings.some(({ rule }) => rule === 'PREV-ONE-LIVE-SIGNATURE')
  )
}

function judgeAgain(entry: JudgedRequest, at: number, policies: PolicySet): Decision | null {
  const key = policies.keys.find(({ did }) => did === entry.keyDid)
  if (key === undefined) return null
  const { operation } = decodeUnsignedOperation(entry.unsigned)
  const counted = (counts: Readonly<Record<string, number>>) =>
    Object.fromEntries(policies.rules.map(({ id }) => [id, counts[id] ?? 0]))
  return evaluate({
    subject: { caller: entry.caller, key, operation, previous: previousOf(entry, operation.prev) },
    policies,
    circumstances: {
      now: new Date(at),
      observedHead: entry.observedHead,
      operationCounts: entry.operationCounts,
      ruleCounts: counted(entry.ruleCounts),
      didRuleCounts: counted(entry.didRuleCounts),
    },
  }).decision
}

function previousOf(
  { previous, standing, did }: JudgedRequest,
  prev: string | null,
): PreviousOperation | null {
  if (previous === null || standing === null || did === null || prev === null) return null
  const { owner, nullified, ours, recordedAt } = standing
  return {
    did,
    cid: prev,
    operation: decodeSignedOperation(previous),
    owner,
    nullified,
    ours,
    recordedAt: new Date(recordedAt),
  }
}

/** Rule ids are names: a rule that is called otherwise decides alike. */
function answerText(decision: Decision | null): string {
  if (decision === null) return 'denied, for its key is not in the set'
  switch (decision.kind) {
    case 'allow':
      return 'allowed'
    case 'require':
      return `needs ${decision.requirements.map(requirementText).join('; ')}`
    case 'deny':
      return 'denied'
  }
}

function directionOf(before: Decision | null, after: Decision | null): Replayed['direction'] {
  const rank = (decision: Decision | null) =>
    decision === null ? 2 : { allow: 0, require: 1, deny: 2 }[decision.kind]
  const by = rank(after) - rank(before)
  if (by === 0) return 'otherwise'
  return by < 0 ? 'looser' : 'tighter'
}
