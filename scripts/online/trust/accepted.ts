import { openVerifier } from '../../../src/ecdsa/native.ts'
import { escapeText } from '../../../src/plc/text.ts'
import type { PolicySet } from '../../../src/policy/policy-set.ts'
import type { Roster } from '../../../src/policy/roster.ts'
import {
  checkAcceptance,
  firstEpochLacks,
  MAX_ACCEPTANCE_BYTES,
  parseAcceptance,
} from '../../../src/approval/acceptance.ts'
import type { Acceptance } from '../../../src/approval/acceptance.ts'
import { ApprovalError } from '../../../src/approval/error.ts'
import { readBounded, Refusal } from '../../offline/command.ts'

/** Files of members who signed this roster whole. @throws Refusal naming the file that is no such thing */
export async function readAcceptances(
  paths: readonly string[],
  roster: Roster,
): Promise<Acceptance[]> {
  const { verify } = openVerifier()
  const accepted: Acceptance[] = []
  for (const path of paths) {
    const text = (await readBounded(path, MAX_ACCEPTANCE_BYTES)).toString('utf8')
    try {
      const acceptance = parseAcceptance(text)
      await checkAcceptance(acceptance, { roster, verify, at: new Date() })
      accepted.push(acceptance)
    } catch (cause) {
      if (!(cause instanceof ApprovalError)) throw cause
      throw new Refusal(`${escapeText(path)}: ${cause.message}`, { cause })
    }
  }
  return accepted
}

/** Those with whom a log begins, or who come in where there were none. @throws Refusal saying who lacks */
export async function readFirstOfficers(
  paths: readonly string[],
  { roster }: PolicySet,
): Promise<Acceptance[]> {
  if (roster === null) {
    if (paths.length > 0) throw new Refusal('--accepted: this policy set has no officers')
    return []
  }
  const accepted = await readAcceptances(paths, roster)
  const lacks = firstEpochLacks(roster, accepted)
  if (lacks.length === 0) return accepted
  throw new Refusal(
    `these officers cannot be the first: ${lacks.join('; ')} (officers accept --out FILE, then --accepted FILE)`,
  )
}
