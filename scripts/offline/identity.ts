import { parseArgs } from 'node:util'
import { writeOnce } from '../../src/files/write-once.ts'
import { escapeText } from '../../src/plc/text.ts'
import { newIdentity } from './age.ts'
import { print, printJson, Refusal, UsageError } from './command.ts'
import type { Command } from './command.ts'

export const identityUsage = 'identity --out FILE [--json]'

/** What a custodian opens their share with, written as `age-keygen` does, which serves as well. */
export const identity: Command = async (args) => {
  const { values } = parseArgs({
    args,
    options: { out: { type: 'string' }, json: { type: 'boolean' } },
  })
  const { out } = values
  if (out === undefined) throw new UsageError(identityUsage)
  const made = await newIdentity()
  const content = `# public key: ${made.recipient}\n${made.identity}\n`
  if (!(await writeOnce(out, content, 0o400))) {
    throw new Refusal(`${escapeText(out)}: is there already; nothing was written`)
  }
  if (values.json === true) printJson({ recipient: made.recipient, file: out })
  else {
    print(`The identity is in ${escapeText(out)}: nobody else may have it.`)
    print('For the list of custodians:')
    print(`  - { id: NAME, recipient: ${made.recipient} }`)
  }
  return 0
}
