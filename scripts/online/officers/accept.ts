import { parseArgs } from 'node:util'
import { escapeText } from '../../../src/plc/text.ts'
import type { Roster } from '../../../src/policy/roster.ts'
import { rosterLines } from '../../../src/policy/roster-text.ts'
import { writeOnce } from '../../../src/files/write-once.ts'
import { loadPolicySet } from '../../../src/policy-files.ts'
import { acceptancePreimage, renderAcceptance } from '../../../src/approval/acceptance.ts'
import { digestWords } from '../../../src/words/words.ts'
import { Refusal } from '../../offline/command.ts'
import { openTerminal } from '../../offline/terminal.ts'
import { UsageError, print, printJson } from '../command.ts'
import { officerKeyOptions, officerKeyUsage, withOfficerKey } from '../officer-key.ts'
import { policiesDir } from '../policies-dir.ts'
import { confirmWords } from './confirm.ts'

export const acceptUsage = `officers accept --out FILE (${officerKeyUsage}) [--policies DIR] [--confirm "WORDS"] [--json]`

/**
 * A member signs the whole epoch of their own copy of the roster, on their own machine, after reading
 * it. Needs neither service nor network.
 */
export async function accept(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      ...officerKeyOptions,
      out: { type: 'string' },
      policies: { type: 'string' },
      confirm: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  })
  const { out, confirm, json } = values
  if (out === undefined) throw new UsageError(acceptUsage)
  const { roster } = await loadPolicySet(policiesDir(values.policies))
  if (roster === null) throw new Refusal('there is no roster.yaml: this policy set has no officers')
  const terminal = openTerminal()
  try {
    return await withOfficerKey(values, { usage: acceptUsage, terminal }, async (key) => {
      const member = memberOf(roster, key.did)
      const words = digestWords(roster.digest, 8)
      for (const line of rosterLines(roster)) process.stderr.write(`${line}\n`)
      process.stderr.write(`words  ${words.join(' ')}\n`)
      await confirmWords(words, confirm, terminal)
      const signature = await key.sign(acceptancePreimage(roster.digest, member))
      const accepted = {
        roster: Buffer.from(roster.digest).toString('hex'),
        ...member,
        signature: Buffer.from(signature).toString('base64url'),
      }
      await keep(out, renderAcceptance(accepted))
      if (json) printJson({ file: out, ...accepted })
      else print(`${member.person} accepts roster epoch ${roster.epoch}: ${escapeText(out)}`)
      return 0
    })
  } finally {
    terminal.close()
  }
}

async function keep(path: string, text: string): Promise<void> {
  if (await writeOnce(path, Buffer.from(text))) return
  throw new Refusal(`${escapeText(path)}: is there already; it is left as it is`)
}

function memberOf(roster: Roster, did: string): { person: string; credential: string } {
  for (const { id, credentials } of roster.persons) {
    const own = credentials.find((each) => each.kind === 'did:key' && each.did === did)
    if (own !== undefined) return { person: id, credential: own.id }
  }
  throw new Refusal(`${did} is nobody’s key in roster epoch ${roster.epoch}`)
}
