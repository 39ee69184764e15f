import { lstat } from 'node:fs/promises'
import { actMatter } from '../../../src/approval/act.ts'
import {
  changeAct,
  changeDigest,
  proposeChange,
  renderChange,
} from '../../../src/approval/change.ts'
import type { Change } from '../../../src/approval/change.ts'
import { publicOrigin } from '../../../src/config.ts'
import type { Context } from '../../../src/context.ts'
import { writeOnce } from '../../../src/files/write-once.ts'
import { escapeText } from '../../../src/plc/text.ts'
import type { Roster } from '../../../src/policy/roster.ts'
import { addNotice } from '../../../src/store/notices.ts'
import { decodeTrust } from '../../../src/trust/record.ts'
import { Refusal } from '../../offline/command.ts'
import { print, printJson, withContext } from '../command.ts'
import { describeChange } from './describe-change.ts'
import { requireSuccession } from './succession.ts'
import { wordsOf } from './words.ts'

export type Proposed = {
  readonly path: string
  readonly proposer: string | null
  readonly json: boolean
}

/**
 * Asks the officers in force for what the policy files say now: writes down what changes, for them to read
 * and approve on their own machines. Nothing is in force by it, and everybody is told that somebody asks.
 */
export async function propose(proposed: Proposed): Promise<number> {
  return await withContext(async (context) => {
    await requireFree(proposed.path)
    const change = await describe(context, proposed.proposer)
    const words = wordsOf(changeDigest(change.request))
    await tellOfficers(context, change, words)
    const { path, json } = proposed
    if (!(await writeOnce(path, renderChange(change)))) {
      throw new Refusal(`${escapeText(path)}: is there already`)
    }
    if (json) printJson({ request: change.request, says: change.says, words })
    else {
      for (const line of describeChange(change)) print(line)
      print(`${escapeText(path)} goes to the officers; nothing is in force by it. Its words:`)
      print(`  ${words}`)
    }
    return 0
  })
}

/** Before anybody is told, or roster.yaml is written. @throws Refusal */
export async function requireFree(path: string): Promise<void> {
  if ((await lstat(path).catch(() => null)) === null) return
  throw new Refusal(`${escapeText(path)}: is there already`)
}

/** @throws Refusal */
export function requireProposer(roster: Roster, proposer: string | null): void {
  if (roster.persons.some(({ id }) => id === proposer)) return
  throw new Refusal('--proposer: who asks, by the id in the roster; they do not approve it')
}

async function describe(context: Context, proposer: string | null): Promise<Change> {
  const { auditLog, policies, candidate, config } = context
  const trust = (await auditLog.held.read())?.trust ?? null
  if (trust === null) throw new Refusal('there is no trust record yet: trust init')
  if (candidate === null) {
    throw new Refusal('the policy files are what is in force; there is nothing to propose')
  }
  if (policies.roster === null) {
    throw new Refusal('the policy set in force has no officers to ask: policy adopt')
  }
  if (candidate.env !== policies.env) {
    throw new Refusal(`policy.yaml: env: ${candidate.env}: this log is one of ${policies.env}`)
  }
  await requireSuccession(context, { old: policies.roster, next: candidate.roster })
  requireProposer(policies.roster, proposer)
  const change = proposeChange({
    from: policies,
    to: candidate,
    audience: publicOrigin(config),
    made: new Date(),
    proposer,
    sequence: decodeTrust(trust).sequence + 1,
  })
  // Says now what would be refused later: that no rule allows it, or asks for anybody.
  if (actMatter(changeAct(change.request), policies) === null) {
    throw new Refusal('no rule in force asks for a quorum to change this, and so nobody can')
  }
  return change
}

/** Before the file is there: whoever can take it to officers has told all of them. */
async function tellOfficers({ db }: Context, { request }: Change, words: string): Promise<void> {
  const { proposer, to } = request
  await addNotice(db, {
    kind: 'alarm',
    event: 'change-proposed',
    subject: words,
    detail: {
      message: `${proposer ?? 'nobody'} asks the officers for other policies or officers; the request's words: ${words}`,
      policySet: to.policies,
      epoch: to.roster?.epoch ?? null,
    },
  })
}
