import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { keyNamed } from '../plc/build-log.ts'
import { persons, rosterYaml } from '../policy/officers.ts'
import { officerKeyFile, passphraseFile } from './officer-files.ts'
import { createTestDatabase } from './postgres.ts'
import type { TestDatabase } from './postgres.ts'
import { runCommand } from './run-command.ts'
import type { Ran } from './run-command.ts'

/** A host in `env: prod` whose policies ask officers, and the officers' own machines: one folder, real commands. */
export type OfficersHome = {
  readonly dir: string
  readonly path: (name: string) => string
  readonly env: Readonly<Record<string, string>>
  readonly database: TestDatabase
  readonly run: (args: readonly string[], input?: string) => Promise<Ran>
  /** @throws Error where it does not end with 0 */
  readonly json: <T>(args: readonly string[], input?: string) => Promise<T>
  readonly asOfficer: (person: string) => string[]
  readonly writePolicy: (rules: string) => Promise<void>
  readonly remove: () => Promise<void>
}

export type Checked = {
  readonly policySet: string
  readonly words: string
  readonly roster: { readonly epoch: number; readonly digest: string; readonly words: string }
}

/** What two of the officers decide, of which `more` is one more rule. */
export const policyOfTwo = (more = ''): string => `policy: holdfast/policy/v1
env: prod
groups:
  two: { k: 2, of: [alice, bob, carol, dan] }
minimum:
  { genesis: 0, update: 0, nullify: 2, tombstone: 0, tombstone.fresh: 0, departure: 0,
    policy: 2, roster: 2, ceremony: 2, redaction: 2, log-fork: 2, thaw: 2 }
publication: 6h
ceremony: { approversMayOperate: true, operators: 1, observers: 0 }
rules:
  - { id: GENESIS, match: { op: [genesis], key: [online], diff: any }, require: none }
  - id: CHANGE
    match: { op: [policy, roster, redaction, log-fork, thaw], key: [none], diff: any }
    require: two
    approveBy: 24h
    executeBy: 24h
    channel: { cli: 2 }
  - id: RECOVERY
    match: { op: [ceremony, nullify, update], key: [recovery], diff: any }
    require: two
    approveBy: 12h
    executeBy: 24h
    channel: { cli: 1 }
${more}`

/** Alice, Bob, Carol and Dan; each with a key in a file under a passphrase. */
export async function openOfficersHome(): Promise<OfficersHome> {
  const dir = await mkdtemp(join(tmpdir(), 'holdfast-officers-'))
  const path = (name: string) => join(dir, name)
  const database = await createTestDatabase()
  await mkdir(path('policies'))
  await writeFile(path('secret'), randomBytes(32), { mode: 0o600 })
  const did = (await keyNamed('recovery of officers')).did()
  const writePolicy = async (more: string) =>
    await writeFile(path('policies/policy.yaml'), policyOfTwo(more))
  await writeFile(
    path('policies/keys.yaml'),
    `keys: holdfast/keys/v1\nlist:\n  - { id: recovery, class: recovery, curve: K-256, did: "${did}" }\n`,
  )
  await writeFile(path('policies/callers.yaml'), 'callers: holdfast/callers/v1\nlist: []\n')
  await writePolicy('')
  const dan = persons.alice.replaceAll('alice', 'dan')
  const didsOf = async (id: string) => (await keyNamed(`${id} cli`)).did()
  const own = dan.replace(await didsOf('alice'), await didsOf('dan'))
  // A passkey is somebody's; Dan has none.
  const danOnly = own.slice(0, own.indexOf('      - kind: webauthn'))
  const operator = danOnly.replace('[officer]', '[officer, operator]')
  const roster = rosterYaml([persons.alice, persons.bob, persons.carol, operator])
  await writeFile(path('policies/roster.yaml'), roster.replace('env: dev', 'env: prod'))
  for (const person of ['alice', 'bob', 'carol', 'dan', 'zoe']) await officerKeyFile(dir, person)
  await passphraseFile(dir)
  const env = {
    HOLDFAST_DATA_DIR: path('data'),
    HOLDFAST_POLICIES_DIR: path('policies'),
    HOLDFAST_SECRET_FILE: path('secret'),
    HOLDFAST_PUBLIC_URL: 'http://localhost:2590',
    HOLDFAST_PLC_URL: 'http://127.0.0.1:1',
    DATABASE_URL: database.url,
  }
  const run = async (args: readonly string[], input = '') =>
    await runCommand([...args, '--json'], { env, cwd: dir, input })
  return {
    dir,
    path,
    env,
    database,
    run,
    json: async <T>(args: readonly string[], input = '') => {
      const { code, out, err } = await run(args, input)
      if (code !== 0) throw new Error(`${args.join(' ')}: exit ${code}: ${err}`)
      return JSON.parse(out) as T
    },
    asOfficer: (person) => [
      '--key-file',
      path(`${person}.age`),
      '--passphrase-file',
      path('passphrase'),
    ],
    writePolicy,
    remove: async () => {
      await database.drop()
      await rm(dir, { recursive: true })
    },
  }
}

/** Begins the log with these officers, each of whom has accepted. @returns with the line for auditors */
export async function beginWithOfficers(
  home: OfficersHome,
): Promise<Checked & { readonly vkey: string }> {
  const checked = await home.json<Checked>(['policy', 'check'])
  const accepted: string[] = []
  for (const person of ['alice', 'bob', 'carol', 'dan']) {
    accepted.push('--accepted', await acceptAs(home, person, checked.roster.words))
  }
  const typed = `${checked.words}\n${checked.roster.words}\n`
  const { vkey } = await home.json<{ vkey: string }>(['trust', 'init', ...accepted], typed)
  return { ...checked, vkey }
}

/** @returns the file */
export async function acceptAs(home: OfficersHome, person: string, words: string): Promise<string> {
  const file = home.path(`accepted-${person}-${words.split(' ')[0] ?? ''}.json`)
  const out = ['--out', file, '--confirm', words]
  await home.json(['officers', 'accept', ...out, ...home.asOfficer(person)])
  await readFile(file)
  return file
}
