import { z } from 'zod'
import type { Requirement } from '../policy-set.ts'
import { personsIn } from '../quorum.ts'
import { malformed, name, parseDuration } from './file.ts'
import type { Group } from './groups.ts'

/** The keys of a rule that say whose agreement it needs, and what goes with that. */
export const requirementSchema = {
  require: name,
  separate: z.strictObject({ orgs: z.int().min(2, 'at least 2') }).optional(),
  approveBy: z.string().optional(),
  executeBy: z.string().optional(),
  delay: z.string().optional(),
  channel: z.strictObject({ cli: z.int().min(1, 'at least 1') }).optional(),
  witness: z.literal('required').optional(),
  alarm: z.literal(true).optional(),
}

type Written = z.infer<z.ZodObject<typeof requirementSchema>> & { readonly id: string }

const accompanying = [
  'separate',
  'approveBy',
  'executeBy',
  'delay',
  'channel',
  'witness',
  'alarm',
] as const

/** No approval is worth anything a month later: who agreed then did not see what is signed now. */
const MAX_SECONDS = 30 * 86_400

export function parseRequirement(
  where: string,
  written: Written,
  groups: readonly Group[],
): 'none' | Requirement {
  if (written.require === 'none') {
    const stray = accompanying.find((key) => written[key] !== undefined)
    if (stray === undefined) return 'none'
    // Without an approval nothing that somebody signed says when a delay began.
    throw malformed(`${where}: ${stray} goes with a quorum, and require is none`)
  }
  const quorum = groups.find(({ id }) => id === written.require)
  if (quorum === undefined) {
    throw malformed(`${where}: require: no group ${written.require} (or write none)`)
  }
  const requirement: Requirement = {
    rule: written.id,
    quorum,
    separate: written.separate ?? null,
    approveBy: seconds(where, 'approveBy', written.approveBy),
    executeBy: seconds(where, 'executeBy', written.executeBy),
    delay: written.delay === undefined ? 0 : seconds(where, 'delay', written.delay),
    channel: written.channel ?? null,
    witness: written.witness === 'required',
    alarm: written.alarm === true,
  }
  checkPersons(where, requirement)
  return requirement
}

function seconds(where: string, key: string, text: string | undefined): number {
  if (text === undefined) throw malformed(`${where}: ${key}: say how long, such as 24h`)
  const found = parseDuration(text)
  if (found === null) throw malformed(`${where}: ${key}: write a time such as 90s, 10m, 24h or 7d`)
  if (found > MAX_SECONDS) throw malformed(`${where}: ${key}: at most 30d`)
  return found
}

/** More than everybody could never be met. */
function checkPersons(where: string, { quorum, separate, channel }: Requirement): void {
  const persons = personsIn(quorum).length
  for (const [key, wanted] of [
    ['separate.orgs', separate?.orgs ?? 0],
    ['channel.cli', channel?.cli ?? 0],
  ] as const) {
    if (wanted > persons) {
      throw malformed(`${where}: ${key} is ${wanted}, but the quorum has ${persons} persons`)
    }
  }
}
