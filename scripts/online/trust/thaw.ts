import { lstat } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { actMatter, decideAct } from '../../../src/approval/act.ts'
import { parseThaw, renderThaw, thawAct, thawDigest } from '../../../src/approval/thaw.ts'
import type { ThawRequest } from '../../../src/approval/thaw.ts'
import type { Agreed } from '../../../src/audit/entry.ts'
import { publicOrigin } from '../../../src/config.ts'
import type { Context } from '../../../src/context.ts'
import { writeOnce } from '../../../src/files/write-once.ts'
import { escapeText } from '../../../src/plc/text.ts'
import { changeHeld } from '../../../src/sequencer/change-held.ts'
import type { Held } from '../../../src/sequencer/held.ts'
import { addNotice } from '../../../src/store/notices.ts'
import { recordPolicies, recordTrust } from '../../../src/store/policy-sets.ts'
import { readText, Refusal } from '../../offline/command.ts'
import { openTerminal } from '../../offline/terminal.ts'
import { print, printJson, UsageError, withContext } from '../command.ts'
import { officerKeyUsage } from '../officer-key.ts'
import { agreementBeside } from './approvals-beside.ts'
import { approveAct } from '../officers/approve-act.ts'
import { askWords, wordsOf } from './words.ts'

export const thawUsage = `thaw FILE [--proposer ID] [--json]   writes FILE as what is asked, and lifts every freeze when it is there and approved |
  thaw approve FILE (${officerKeyUsage}) [--policies DIR] [--json]   an officer's word on it |
  thaw   where the policies ask no officers: by the words of the policy set in force`

export async function thaw(args: string[]): Promise<number> {
  if (args[0] === 'approve') return await approve(args.slice(1))
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { proposer: { type: 'string' }, json: { type: 'boolean', default: false } },
  })
  const [path, extra] = positionals
  if (extra !== undefined) throw new UsageError(thawUsage)
  const { json, proposer = null } = values
  return await withContext(async (context) => {
    const held = await context.auditLog.held.read()
    if (held === null || held.frozen.length === 0) throw new Refusal('nothing is frozen')
    if (path === undefined) return await byOperator(context, held, json)
    const isThere = (await lstat(path).catch(() => null)) !== null
    if (isThere) return await execute(context, { path, held, json })
    return await describe(context, { path, held, proposer, json })
  })
}

async function byOperator(context: Context, held: Held, json: boolean): Promise<number> {
  const { policies } = context
  if (decideAct(thawAct(requestFor(context, held, null)), policies).kind === 'require') {
    throw new Refusal(`officers decide this\nUsage: scripts/holdfast ${thawUsage}`)
  }
  process.stderr.write(`FROZEN: ${held.frozen.join(', ')}\n`)
  const terminal = openTerminal()
  try {
    await askWords(terminal, { what: 'the policy set in force', digest: policies.digest })
  } finally {
    terminal.close()
  }
  return await lift(context, { held, agreed: null, json })
}

type Given = { readonly path: string; readonly held: Held; readonly json: boolean }

function requestFor(
  { policies, config }: Context,
  held: Held,
  proposer: string | null,
): ThawRequest {
  return {
    format: 'holdfast/thaw/v1',
    env: policies.env,
    audience: publicOrigin(config),
    made: new Date().toISOString(),
    proposer,
    store: held.storeId,
    frozen: [...held.frozen],
  }
}

async function describe(
  context: Context,
  { path, held, proposer, json }: Given & { readonly proposer: string | null },
): Promise<number> {
  const request = requestFor(context, held, proposer)
  // Says now what would be refused later: that nobody is named, or no rule allows it.
  if (actMatter(thawAct(request), context.policies) === null) {
    throw new Refusal('the policies ask no officer for a thaw: run it without FILE')
  }
  if (!(await writeOnce(path, renderThaw(request)))) {
    throw new Refusal(`${escapeText(path)}: is there already`)
  }
  const words = wordsOf(thawDigest(request))
  if (json) printJson({ request, words })
  else {
    print(renderThaw(request))
    print(`${escapeText(path)} says what is lifted; nothing is done yet. Its words: ${words}`)
  }
  return 0
}

async function execute(context: Context, { path, held, json }: Given): Promise<number> {
  const request = parseThaw(await readText(path), escapeText(path))
  if (request.store !== held.storeId || request.frozen.join() !== held.frozen.join()) {
    throw new Refusal('something else is frozen than was approved; ask anew')
  }
  const { approvals, approvers } = await agreementBeside(context, path, thawAct(request))
  if (approvers.length === 0) throw new Refusal('no officer has approved it')
  return await lift(context, { held, agreed: { request: renderThaw(request), approvals }, json })
}

/** The entry and the alarm first: whoever dies in between has lifted nothing, and runs the command again. */
async function lift(
  { db, auditLog, policies }: Context,
  thawed: {
    readonly held: Held
    readonly agreed: Agreed | null
    readonly json: boolean
  },
): Promise<number> {
  const { held, agreed, json } = thawed
  // By what it is judged stands before it: whoever died while changing it may have left that out.
  if (policies.env === 'prod') await recordPolicies(db, policies)
  await recordTrust(db, [{ kind: 'signing.thawed', frozen: held.frozen, agreed }])
  await addNotice(db, {
    kind: 'alarm',
    event: 'thawed',
    subject: held.frozen.join(', '),
    detail: { message: `signing goes on: lifted ${held.frozen.join(', ')}` },
  })
  await changeHeld(auditLog.held, (now) => {
    if (now === null) throw new Refusal('the held record is gone')
    // What was frozen meanwhile is no part of this.
    return { ...now, frozen: now.frozen.filter((text) => !held.frozen.includes(text)) }
  })
  if (json) printJson({ thawed: held.frozen })
  else print(`Lifted: ${held.frozen.join(', ')}. Signing goes on within two seconds.`)
  return 0
}

/** An officer's approval, as a file beside the request. */
async function approve(args: string[]): Promise<number> {
  return await approveAct(args, {
    usage: thawUsage,
    parse: (text, file) => thawAct(parseThaw(text, file)),
    ask: async (terminal, digest) =>
      await askWords(terminal, { what: 'the request', digest }, 'thaw FILE'),
  })
}
