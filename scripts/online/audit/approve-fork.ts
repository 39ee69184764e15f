import { parseArgs } from 'node:util'
import { actMatter } from '../../../src/approval/act.ts'
import { logForkAct, logForkDigest, parseLogFork } from '../../../src/approval/log-fork.ts'
import { escapeText } from '../../../src/plc/text.ts'
import { readPolicySet } from '../../../src/policy-files.ts'
import { readText, Refusal } from '../../offline/command.ts'
import { confirmWords } from '../../offline/recovery/confirm.ts'
import { openTerminal } from '../../offline/terminal.ts'
import { print, printJson, UsageError } from '../command.ts'
import { officerKeyOptions, officerKeyUsage, withOfficerKey } from '../officer-key.ts'
import { writeApproval } from '../officers/approval-file.ts'
import { policiesDir } from '../policies-dir.ts'

export const approveForkUsage = `audit fork approve FILE (${officerKeyUsage}) [--policies DIR] [--json]   an officer's word on it; needs neither service nor database`

/** An officer's approval of a fork, signed on the officer's own machine, as a file beside the request. */
export async function approveFork(args: string[]): Promise<number> {
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
  if (path === undefined || extra !== undefined) throw new UsageError(approveForkUsage)
  const request = parseLogFork(await readText(path), escapeText(path))
  const policies = await readPolicySet(policiesDir(values.policies))
  const { roster } = policies
  const matter = actMatter(logForkAct(request), policies)
  if (matter === null || roster === null) {
    throw new Refusal('the policies ask nobody for their approval of a fork')
  }
  process.stderr.write(matter.display)
  const terminal = openTerminal()
  try {
    await confirmWords(terminal, { what: 'the request', digest: logForkDigest(request) })
    return await withOfficerKey(values, { usage: approveForkUsage, terminal }, async (key) => {
      const person = await writeApproval({ matter, roster, key }, (id) => `${path}.${id}.json`)
      if (values.json) printJson({ person })
      else print(`approved by ${person}: ${escapeText(`${path}.${person}.json`)}`)
      return 0
    })
  } finally {
    terminal.close()
  }
}
