import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { escapeText } from '../../../src/plc/text.ts'
import { APPROVALS_FOLDER } from '../../../src/recovery/bundle.ts'
import { ceremonyMatter } from '../../../src/recovery/trusted.ts'
import { openTrusted } from '../../offline/recovery/bundle-option.ts'
import { confirmWords } from '../../offline/recovery/confirm.ts'
import { look, sampleOptions, samplingOf, show } from '../../offline/recovery/inspect.ts'
import { Refusal } from '../../offline/command.ts'
import { openTerminal } from '../../offline/terminal.ts'
import { print, printJson, UsageError } from '../command.ts'
import { officerKeyOptions, officerKeyUsage, withOfficerKey } from '../officer-key.ts'
import { writeApproval } from '../officers/approval-file.ts'

export const approveUsage = `recovery approve BUNDLE --trust CARD (${officerKeyUsage}) [--sample N] [--dice TEXT] [--json]   an officer's word on a bundle; needs neither service nor database`

/**
 * An officer's approval of a ceremony, signed on the officer's own machine: every log of the bundle is
 * verified there, what follows is shown, and the words of the plan are typed from the paper. It becomes a
 * file of the bundle, which the air-gapped machine verifies again.
 */
export async function approveRecovery(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      ...officerKeyOptions,
      ...sampleOptions,
      trust: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  })
  const [path, extra] = positionals
  if (path === undefined || extra !== undefined || values.trust === undefined) {
    throw new UsageError(approveUsage)
  }
  const { bundle, trusted } = await openTrusted(path, values.trust)
  const matter = ceremonyMatter(trusted)
  const { roster } = trusted
  if (matter === null || roster === null) {
    throw new Refusal('the policies ask nobody for their approval of this ceremony')
  }
  const shown = await look(bundle, samplingOf(values, approveUsage))
  if (!values.json) show(trusted, shown)
  const terminal = openTerminal()
  try {
    await confirmWords(terminal, { what: 'the intent', digest: trusted.digest })
    return await withOfficerKey(values, { usage: approveUsage, terminal }, async (key) => {
      await mkdir(join(path, APPROVALS_FOLDER), { recursive: true, mode: 0o700 })
      const pathOf = (id: string) => join(path, fileOf(id))
      const person = await writeApproval({ matter, roster, key }, pathOf)
      if (values.json) printJson({ ceremony: trusted.intent.ceremony, person })
      else print(`approved by ${person}: ${escapeText(join(path, fileOf(person)))}`)
      return 0
    })
  } finally {
    terminal.close()
  }
}

const fileOf = (person: string) => `${APPROVALS_FOLDER}/${person}.json`
