import {
  isOf,
  parseChange,
  renderChangeRequest,
  weighChange,
} from '../../../src/approval/change.ts'
import { publicOrigin } from '../../../src/config.ts'
import type { Context } from '../../../src/context.ts'
import { escapeText } from '../../../src/plc/text.ts'
import { compare } from '../../../src/policy/compare.ts'
import type { PolicySet } from '../../../src/policy/policy-set.ts'
import type { Roster } from '../../../src/policy/roster.ts'
import { decodeTrust } from '../../../src/trust/record.ts'
import { readText, Refusal } from '../../offline/command.ts'
import { openTerminal } from '../../offline/terminal.ts'
import { approvalsBeside } from './approvals-beside.ts'
import { print, printJson, withContext } from '../command.ts'
import { readAcceptances, readFirstOfficers } from './accepted.ts'
import { putInForce } from './put-in-force.ts'
import type { Change as PutInForce } from './put-in-force.ts'
import { requireAccepted, requireSuccession } from './succession.ts'
import { askWords } from './words.ts'

export type Adopted = {
  /** What officers approved; null where there are none. */
  readonly path: string | null
  /** Files of those who come in. */
  readonly accepted: readonly string[]
  readonly json: boolean
}

/**
 * Puts the policy files in force: where there are officers, what they approved; where there are none, by the word of
 * whoever sits at the host's terminal, and with it may come the first officers, who have all signed.
 */
export async function adopt(adopted: Adopted): Promise<number> {
  return await withContext(async (context) => {
    const { auditLog, candidate, policies } = context
    const { json, path } = adopted
    const before = (await auditLog.held.read())?.trust ?? null
    if (before === null) throw new Refusal('there is no trust record yet: trust init')
    if (candidate === null) {
      say(json, { adopted: false }, 'the files are what is in force; there is nothing to adopt')
      return 0
    }
    if (candidate.env !== policies.env) {
      throw new Refusal(`policy.yaml: env: ${candidate.env}: this log is one of ${policies.env}`)
    }
    const asked = { before, candidate, files: adopted.accepted }
    await putInForce(
      context,
      policies.roster === null
        ? await byOperator(context, asked, path)
        : await byOfficers(context, { ...asked, roster: policies.roster }, path),
    )
    const policySet = Buffer.from(candidate.digest).toString('hex')
    say(
      json,
      { adopted: true, policySet },
      `In force: policy set ${policySet}. Every instance has stopped signing: restart them.`,
    )
    return 0
  })
}

type Asked = {
  /** The trust record's bytes. */
  readonly before: Uint8Array
  readonly candidate: PolicySet
  readonly files: readonly string[]
}

async function byOperator(
  { policies }: Context,
  { before, candidate, files }: Asked,
  path: string | null,
): Promise<PutInForce> {
  if (path !== null) throw new Refusal('the policy set in force has no officers who approve it')
  const accepted = await readFirstOfficers(files, candidate)
  await confirm(policies, candidate)
  return { policies: candidate, by: 'operator', agreed: null, accepted, before }
}

async function byOfficers(
  context: Context,
  { before, candidate, files, roster }: Asked & { readonly roster: Roster },
  path: string | null,
): Promise<PutInForce> {
  if (path === null) {
    throw new Refusal(
      'the policy set in force has officers, who decide this: policy propose FILE --proposer ID, then policy adopt FILE',
    )
  }
  const { config, policies } = context
  const { request } = parseChange(await readText(path), escapeText(path))
  if (request.sequence !== decodeTrust(before).sequence + 1) {
    throw new Refusal(`${escapeText(path)}: something else was put in force since; propose it anew`)
  }
  if (!isOf(request.to, candidate)) {
    throw new Refusal(`${escapeText(path)}: the policy files are not what was proposed`)
  }
  if (request.env !== policies.env || request.audience !== publicOrigin(config)) {
    throw new Refusal(`${escapeText(path)}: is a request to another service`)
  }
  await requireSuccession(context, { old: roster, next: candidate.roster })
  const { approvals, verified } = await approvalsBeside(path, roster)
  const clocks = await context.clocks()
  weighChange(request, { policies, roster, approvals: verified, clocks })
  const next = candidate.roster ?? roster
  const accepted = await readAcceptances(files, next)
  requireAccepted({ old: roster, next }, accepted)
  const agreed = { request: renderChangeRequest(request), approvals }
  return { policies: candidate, by: 'officers', agreed, accepted, before }
}

function say(json: boolean, report: object, line: string): void {
  if (json) printJson(report)
  else print(line)
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
