import type { Context } from '../../../src/context.ts'
import { compare } from '../../../src/policy/compare.ts'
import type { PolicySet } from '../../../src/policy/policy-set.ts'
import { firstEpochLacks } from '../../../src/trust/acceptance.ts'
import { Refusal } from '../../offline/command.ts'
import { openTerminal } from '../../offline/terminal.ts'
import { print, printJson, withContext } from '../command.ts'
import { readAcceptances } from './accepted.ts'
import { putInForce } from './put-in-force.ts'
import { askWords } from './words.ts'

/**
 * Puts the policy files in force in the place of a set without officers, by the word of whoever sits at
 * the host's terminal. With them may come the first officers, who have all signed.
 */
export async function adopt(json: boolean, files: readonly string[]): Promise<number> {
  return await withContext(async (context) => {
    const { auditLog, candidate } = context
    const before = (await auditLog.held.read())?.trust ?? null
    if (before === null) throw new Refusal('there is no trust record yet: trust init')
    if (candidate === null) {
      say(json, { adopted: false }, 'the files are what is in force; there is nothing to adopt')
      return 0
    }
    requireOperator(context, candidate)
    const accepted = await acceptedFor(candidate, files)
    await confirm(context.policies, candidate)
    await putInForce(context, { policies: candidate, by: 'operator', accepted, before })
    const policySet = Buffer.from(candidate.digest).toString('hex')
    say(
      json,
      { adopted: true, policySet },
      `In force: policy set ${policySet}. Every instance has stopped signing: restart them.`,
    )
    return 0
  })
}

function say(json: boolean, report: object, line: string): void {
  if (json) printJson(report)
  else print(line)
}

function requireOperator({ policies }: Context, candidate: PolicySet): void {
  if (policies.roster !== null) {
    throw new Refusal(
      'the policy set in force has officers: nothing of it changes by the operator’s word',
    )
  }
  if (candidate.env !== policies.env) {
    throw new Refusal(`policy.yaml: env: ${candidate.env}: this log is one of ${policies.env}`)
  }
}

async function acceptedFor({ roster }: PolicySet, files: readonly string[]) {
  if (roster === null) {
    if (files.length > 0) throw new Refusal('--accepted: this policy set has no officers')
    return []
  }
  const accepted = await readAcceptances(files, roster)
  const lacks = firstEpochLacks(roster, accepted)
  if (lacks.length === 0) return accepted
  throw new Refusal(`these officers cannot be the first: ${lacks.join('; ')}`)
}

async function confirm(old: PolicySet, next: PolicySet): Promise<void> {
  for (const { direction, text } of compare(old, next)) {
    process.stderr.write(`${direction}: ${text}\n`)
  }
  const terminal = openTerminal()
  try {
    await askWords(terminal, { what: 'the policy set', digest: next.digest })
    const { roster } = next
    if (roster !== null) await askWords(terminal, { what: 'the roster', digest: roster.digest })
  } finally {
    terminal.close()
  }
}
