import { chmod, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { MAX_PASSKEY_FILE_BYTES, parsePasskeyFile } from '../../../src/approval/passkey-file.ts'
import type { PasskeyFile } from '../../../src/approval/passkey-file.ts'
import { replaceFile } from '../../../src/files/write-once.ts'
import { escapeText } from '../../../src/plc/text.ts'
import { editRoster } from '../../../src/policy/edit-roster.ts'
import type { NewCredential, RosterEdit } from '../../../src/policy/edit-roster.ts'
import { parsePolicySet } from '../../../src/policy/parse.ts'
import { roles } from '../../../src/policy/roster.ts'
import type { Role, Roster } from '../../../src/policy/roster.ts'
import { readPolicyFiles } from '../../../src/policy-files.ts'
import { readBounded, Refusal } from '../../offline/command.ts'
import { print, printJson, UsageError, withContext } from '../command.ts'
import { propose, requireFree, requireProposer } from './propose.ts'

export const changeRosterUsage =
  'officers add PERSON --did DID-KEY|--passkey FILE [--org ORG] [--role ROLE]… [--credential NAME] [--until TIME] --proposer ID --out FILE | ' +
  'officers remove PERSON --proposer ID --out FILE'

const DEFAULT_YEARS = 2

/**
 * Writes the next epoch into roster.yaml, and proposes it to the officers in force. Whoever dies in between has a
 * candidate in the folder, for `policy propose`. In `env: dev` the files are in force at the next start.
 */
export async function changeRoster(verb: 'add' | 'remove', args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      did: { type: 'string' },
      passkey: { type: 'string' },
      org: { type: 'string' },
      role: { type: 'string', multiple: true },
      credential: { type: 'string' },
      until: { type: 'string' },
      proposer: { type: 'string' },
      out: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  })
  const [person, extra] = positionals
  if (person === undefined || extra !== undefined) throw new UsageError(changeRosterUsage)
  const passkey = values.passkey === undefined ? null : await readPasskey(values.passkey, person)
  const isDevelopment = await withContext(async ({ policies, candidate, policiesDir }) => {
    const { roster, env } = policies
    if (roster === null) {
      throw new Refusal(
        'there are no officers yet: write roster.yaml, and give it to "trust init" or "policy adopt"',
      )
    }
    if (candidate !== null) {
      throw new Refusal(
        'the policy files are a candidate already: propose it (policy propose), or bring back what is in force',
      )
    }
    if (env !== 'dev') {
      if (values.out === undefined) throw new UsageError(changeRosterUsage)
      requireProposer(roster, values.proposer ?? null)
      await requireFree(values.out)
    }
    const edit = editOf(verb, person, { ...values, passkey, roster })
    await writeNext(policiesDir, { roster, edit })
    return env === 'dev'
  })
  const { out, proposer = null, json } = values
  if (!isDevelopment && out !== undefined) return await propose({ path: out, proposer, json })
  if (json) printJson({ written: true, person })
  else print('roster.yaml is written; in env: dev it is in force at the next start')
  return 0
}

type Given = {
  readonly did?: string | undefined
  readonly passkey: PasskeyFile | null
  readonly org?: string | undefined
  readonly role?: string[] | undefined
  readonly credential?: string | undefined
  readonly until?: string | undefined
  readonly roster: Roster
}

function editOf(verb: 'add' | 'remove', person: string, given: Given): RosterEdit {
  const { did, passkey, org, role, credential, until } = given
  if (verb === 'remove') {
    const some = [did, org, role, credential, until].some((value) => value !== undefined)
    if (some || passkey !== null) {
      throw new UsageError(changeRosterUsage)
    }
    return { kind: 'remove', person }
  }
  const now = new Date()
  const end = new Date(now)
  end.setUTCFullYear(end.getUTCFullYear() + DEFAULT_YEARS)
  return {
    kind: 'add',
    person,
    org: org ?? null,
    roles: (role ?? ['officer']).map(roleOf),
    credential: newCredential(person, given, {
      from: timeText(now),
      until: until ?? timeText(end),
    }),
  }
}

function newCredential(
  person: string,
  { did, passkey, credential, roster }: Given,
  times: { readonly from: string; readonly until: string },
): NewCredential {
  if (did !== undefined && passkey === null) {
    return { kind: 'did:key', id: credential ?? freeName(roster, person), did, ...times }
  }
  if (passkey === null || did !== undefined || credential !== undefined) {
    throw new UsageError(
      `${changeRosterUsage}\n--did: see "officers keygen"; --passkey: see "officers invite"; a passkey has its own name`,
    )
  }
  const { id, key, aaguid, backupEligible } = passkey
  return { kind: 'webauthn', id, key, aaguid, backupEligible, ...times }
}

/** @throws Refusal for another person's */
async function readPasskey(path: string, person: string): Promise<PasskeyFile> {
  const bytes = await readBounded(path, MAX_PASSKEY_FILE_BYTES)
  const file = parsePasskeyFile(bytes.toString('utf8'))
  if (file.person === person) return file
  throw new Refusal(`${escapeText(path)}: is the passkey of ${escapeText(file.person)}`)
}

function roleOf(text: string): Role {
  const role = roles.find((known) => known === text)
  if (role !== undefined) return role
  throw new UsageError(`${changeRosterUsage}\n--role: one of ${roles.join(', ')}`)
}

function freeName({ persons }: Roster, person: string): string {
  const taken = new Set(persons.flatMap(({ credentials }) => credentials.map(({ id }) => id)))
  const names = Array.from({ length: taken.size + 1 }, (_, n) => `${person}-${n + 1}`)
  return names.find((name) => !taken.has(name)) ?? person
}

const timeText = (time: Date) => `${time.toISOString().slice(0, 19)}Z`

/** Only what parses, with all the other files, is written. @throws PolicyError naming what is wrong */
async function writeNext(
  dir: string,
  { roster, edit }: { readonly roster: Roster; readonly edit: RosterEdit },
): Promise<void> {
  const files = await readPolicyFiles(dir)
  if (files.roster === undefined) throw new Refusal(`${escapeText(dir)}: has no roster.yaml`)
  const text = editRoster(files.roster, roster, edit)
  parsePolicySet({ ...files, roster: text })
  const path = join(dir, 'roster.yaml')
  const { mode } = await stat(path)
  await replaceFile(path, text)
  await chmod(path, mode & 0o777)
}
