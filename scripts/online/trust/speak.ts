import { parseArgs } from 'node:util'
import { actMatter } from '../../../src/approval/act.ts'
import { changeAct, changeDigest, parseChange } from '../../../src/approval/change.ts'
import type { Change } from '../../../src/approval/change.ts'
import { escapeText } from '../../../src/plc/text.ts'
import type { Roster } from '../../../src/policy/roster.ts'
import { whyNotLoaded } from '../../../src/policy-files.ts'
import { readText, Refusal } from '../../offline/command.ts'
import { openTerminal } from '../../offline/terminal.ts'
import { print, printJson, UsageError } from '../command.ts'
import { officerKeyOptions, officerKeyUsage, withOfficerKey } from '../officer-key.ts'
import { writeApproval } from '../officers/approval-file.ts'
import { describeChange } from './describe-change.ts'
import { askWords } from './words.ts'

export const speakUsage = `policy approve|reject FILE (${officerKeyUsage}) [--json]   an officer's word on other policies or officers; needs neither service nor database`

/**
 * An officer's word on a proposed change, on the officer's own machine: what changes is worked out here, from
 * both sets, and shown. It becomes a file beside the request; a rejection ends it for good.
 */
export async function speakOfChange(
  decision: 'approve' | 'reject',
  args: string[],
): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { ...officerKeyOptions, json: { type: 'boolean', default: false } },
  })
  const [path, extra] = positionals
  if (path === undefined || extra !== undefined) throw new UsageError(speakUsage)
  const change = parseChange(await readText(path), escapeText(path))
  const { matter, roster } = askedOf(change)
  process.stderr.write(`${describeChange(change).join('\n')}\n`)
  if (decision === 'approve') requireSound(change)
  const terminal = openTerminal()
  try {
    const digest = changeDigest(change.request)
    await askWords(terminal, { what: 'the request', digest }, 'policy propose')
    return await withOfficerKey(values, { usage: speakUsage, terminal }, async (key) => {
      const said = { matter, roster, key, decision }
      // A file of its own: who has approved can still say no.
      const pathOf = (id: string) =>
        decision === 'approve' ? `${path}.${id}.json` : `${path}.${id}.rejected.json`
      const person = await writeApproval(said, pathOf)
      const done = decision === 'approve' ? 'approved' : 'rejected'
      if (values.json) printJson({ person, decision })
      else print(`${done} by ${person}: ${escapeText(pathOf(person))}`)
      return 0
    })
  } finally {
    terminal.close()
  }
}

/**
 * By the officers and policies that the file calls those in force: an approval names them by their digests, and
 * counts for nothing where others are.
 */
function askedOf({ request, from }: Change): {
  readonly matter: NonNullable<ReturnType<typeof actMatter>>
  readonly roster: Roster
} {
  const matter = actMatter(changeAct(request), from)
  if (matter !== null && from.roster !== null) return { matter, roster: from.roster }
  throw new Refusal('the policies in force ask no officer for this')
}

/** A set that no service would start with stops everything once it is in force. */
function requireSound({ to }: Change): void {
  const refused = whyNotLoaded(to, new Date())
  if (refused === null) return
  throw new Refusal(`what is asked for is not sound: ${refused}`)
}
