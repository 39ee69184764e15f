import { parseArgs } from 'node:util'
import { parsePasskeyFile, passkeyDigest } from '../../../src/approval/passkey-file.ts'
import type { PasskeyFile } from '../../../src/approval/passkey-file.ts'
import { writeOnce } from '../../../src/files/write-once.ts'
import { escapeText } from '../../../src/plc/text.ts'
import { listInvitations } from '../../../src/store/invitations.ts'
import type { KeptInvitation } from '../../../src/store/invitations.ts'
import { digestWords } from '../../../src/words/words.ts'
import { Refusal } from '../../offline/refusal.ts'
import { UsageError, print, printJson, withContext } from '../command.ts'

export const invitedUsage =
  'officers invited [PERSON [--out FILE]] [--json]   what became of the links; the newest answer of PERSON, as a file'

const WORDS = 8

export async function invited(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { out: { type: 'string' }, json: { type: 'boolean', default: false } },
  })
  const [person, extra] = positionals
  const { out = null, json } = values
  if (extra !== undefined || (person === undefined && out !== null)) {
    throw new UsageError(invitedUsage)
  }
  return await withContext(async ({ db, sealer }) => {
    const kept = await listInvitations({ db, sealer })
    if (person === undefined) return list(kept, json)
    const newest = kept.find((each) => each.person === person && each.answer !== null)
    if (newest === undefined || newest.answer === null) {
      const waits = kept.some((each) => each.person === person)
      throw new Refusal(`${person} has ${waits ? 'answered no link yet' : 'no link'}`)
    }
    if (out !== null && !(await writeOnce(out, newest.answer))) {
      throw new Refusal(`${escapeText(out)}: is there already; it is left as it is`)
    }
    if (newest.does === 'register') tellPasskey(parsePasskeyFile(newest.answer), { out, json })
    else tellAcceptance(newest, newest.answer, { out, json })
    return 0
  })
}

type Told = { readonly out: string | null; readonly json: boolean }

function list(kept: readonly KeptInvitation[], json: boolean): number {
  const now = Date.now()
  const links = kept.map(({ person, does, until, answer }) => ({
    person,
    does,
    state: answer !== null ? 'answered' : until.getTime() <= now ? 'over' : 'open',
    until: until.toISOString(),
  }))
  if (json) printJson({ links })
  else if (links.length === 0) print('nobody was invited in the last seven days')
  for (const { person, does, state, until } of json ? [] : links) {
    print(`${person}  ${does}  ${state}  until ${until}`)
  }
  return 0
}

/** A passkey is believed when its owner reads its words out: nothing else says whose it is. */
function tellPasskey(file: PasskeyFile, { out, json }: Told): void {
  const words = digestWords(passkeyDigest(file), WORDS).join(' ')
  const { person, id, key, aaguid, backupEligible } = file
  if (json) {
    printJson({ does: 'register', words, passkey: file, file: out })
    return
  }
  print(`${person} reads these words out from their own screen: ${words}`)
  print('Only then, for roster.yaml (or: officers add --passkey FILE), with from and until:')
  print(`      - kind: webauthn\n        id: ${id}\n        key: ${key}`)
  print(`        aaguid: ${aaguid}\n        backupEligible: ${backupEligible}`)
  if (out !== null) print(`written: ${escapeText(out)}`)
}

function tellAcceptance(
  { person }: { readonly person: string },
  answer: string,
  { out, json }: Told,
): void {
  if (json) printJson({ does: 'accept', person, acceptance: JSON.parse(answer), file: out })
  else if (out === null)
    print(`${person} has signed a roster: officers invited ${person} --out FILE`)
  else print(`${person} has signed a roster: --accepted ${escapeText(out)}`)
}
