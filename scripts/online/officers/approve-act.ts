import { parseArgs } from 'node:util'
import { actMatter } from '../../../src/approval/act.ts'
import type { AskedAct } from '../../../src/approval/act.ts'
import { escapeText } from '../../../src/plc/text.ts'
import { readPolicySet } from '../../../src/policy-files.ts'
import { readText, Refusal } from '../../offline/command.ts'
import { openTerminal } from '../../offline/terminal.ts'
import type { Terminal } from '../../offline/terminal.ts'
import { print, printJson, UsageError } from '../command.ts'
import { officerKeyOptions, withOfficerKey } from '../officer-key.ts'
import { policiesDir } from '../policies-dir.ts'
import { writeApproval } from './approval-file.ts'

/**
 * An officer's approval of what a file asks, signed on the officer's own machine by a copy of the policies, as a
 * file beside the request. Needs neither service nor database.
 */
export async function approveAct(
  args: string[],
  given: {
    readonly usage: string
    /** @throws ApprovalError for what is no such request */
    readonly parse: (text: string, file: string) => AskedAct
    /** For the words that were printed where it was asked for. @throws Refusal */
    readonly ask: (terminal: Terminal, digest: Uint8Array) => Promise<void>
  },
): Promise<number> {
  const { usage, parse, ask } = given
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      ...officerKeyOptions,
      policies: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  })
  const [path, extra] = positionals
  if (path === undefined || extra !== undefined) throw new UsageError(usage)
  const act = parse(await readText(path), escapeText(path))
  const policies = await readPolicySet(policiesDir(values.policies))
  const { roster } = policies
  const matter = actMatter(act, policies)
  if (matter === null || roster === null) {
    throw new Refusal(`the policies ask nobody for their approval of a ${act.subject}`)
  }
  process.stderr.write(matter.display)
  const terminal = openTerminal()
  try {
    await ask(terminal, act.request)
    return await withOfficerKey(values, { usage, terminal }, async (key) => {
      const person = await writeApproval({ matter, roster, key }, (id) => `${path}.${id}.json`)
      if (values.json) printJson({ person })
      else print(`approved by ${person}: ${escapeText(`${path}.${person}.json`)}`)
      return 0
    })
  } finally {
    terminal.close()
  }
}
