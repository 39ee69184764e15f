import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openBundle } from '../../src/bundle/open.ts'
import { attachSignature, cidOf, signingBytes } from '../../src/plc/encode.ts'
import type { PlcOperation } from '../../src/plc/operation.ts'
import { intentDigest } from '../../src/recovery/intent.ts'
import { digestWords } from '../../src/words/words.ts'
import { startDirectory } from '../e2e/support/directory.ts'
import type { TestDirectory } from '../e2e/support/directory.ts'
import { openCustodians } from '../support/custodians.ts'
import type { CustodiansHome } from '../support/custodians.ts'
import { createTestDatabase } from '../support/postgres.ts'
import type { TestDatabase } from '../support/postgres.ts'
import { accountKinds, cardOf, makeAccount, recoveryKeys } from '../support/recovery.ts'
import type { AccountKind, Keys } from '../support/recovery.ts'
import { runCommand } from '../support/run-command.ts'
import type { Ran } from '../support/run-command.ts'

// Both sides of the gap, as their operators type it, against a directory that judges by code of its own.

const preload = fileURLToPath(new URL('../support/die-at-write.mjs', import.meta.url))

let home: CustodiansHome
let database: TestDatabase
let directory: TestDirectory
let keys: Keys
let dids: Map<string, AccountKind>
let env: Record<string, string>
let fresh: string

const savable = [
  'plain',
  'renamed',
  'user-above',
  'user-below',
  'recovery-below',
  'legacy',
] as const

beforeAll(async () => {
  home = await openCustodians(2)
  database = await createTestDatabase()
  directory = await startDirectory()
  await mkdir(home.path('data'), { mode: 0o711 })
  const order = ['--threshold', '2', '--custodians', home.custodians, '--out', 'key']
  const made = await home.run(['keygen', '--env', 'prod', ...order])
  const known = await recoveryKeys()
  const did = /PDS_RECOVERY_DID_KEY=(\S+)/.exec(made.out)?.[1] ?? ''
  keys = { ...known, recovery: { ...known.recovery, did } }
  env = {
    HOLDFAST_DATA_DIR: home.path('data'),
    HOLDFAST_POLICIES_DIR: home.path('policies'),
    HOLDFAST_PLC_URL: directory.url,
  }
  await writePolicies(known.stranger.did)
  const created = await holdfast(['keys', 'create', 'fresh', '--json'], { database: true })
  fresh = (JSON.parse(created.out) as { did: string }).did
  await writePolicies(fresh)
  dids = new Map()
  for (const [index, kind] of accountKinds.entries()) {
    for (const copy of [0, 1]) {
      // `replaced` and `invalid` are judged without a directory, which would never list them.
      if (kind === 'replaced' || kind === 'invalid' || kind === 'unread') continue
      const account = await makeAccount(kind, 10 * index + copy, keys)
      dids.set(account.did, kind)
      if ('log' in account) directory.load(rowsOf(account.log))
    }
  }
  await writeFile(home.path('accounts.txt'), `# all of them\n${[...dids.keys()].join('\n')}\n`)
})
afterAll(async () => {
  await directory.stop()
  await database.drop()
  await home.close()
})

function rowsOf(log: unknown): Parameters<TestDirectory['load']>[0] {
  const rows = log as { createdAt: string }[]
  return rows.map((row) => ({ ...row, createdAt: new Date(row.createdAt) })) as never
}

async function writePolicies(did: string): Promise<void> {
  await mkdir(home.path('policies'), { recursive: true })
  const example = 'policies/examples/solo'
  for (const name of ['policy.yaml', 'callers.yaml']) {
    const text = await readFile(join(example, name), 'utf8')
    await writeFile(home.path(`policies/${name}`), text.replace('keys: [pds]', 'keys: [fresh]'))
  }
  const key = (id: string, kind: string, of: string, uri = '') =>
    `  - { id: ${id}, class: ${kind}, curve: K-256, did: '${of}'${uri} }\n`
  await writeFile(
    home.path('policies/keys.yaml'),
    `keys: holdfast/keys/v1\nlist:\n${key('fresh', 'online', did, ', uri: file:fresh')}${key('recovery', 'recovery', keys.recovery.did)}`,
  )
}

async function holdfast(
  args: readonly string[],
  options: { database?: boolean; input?: string; dieAt?: number } = {},
): Promise<Ran> {
  const { dieAt, input = '' } = options
  return await runCommand(args, {
    cwd: home.dir,
    input,
    env: {
      ...env,
      HOME: home.dir,
      ...(options.database === true ? { DATABASE_URL: database.url } : {}),
      ...(dieAt === undefined ? {} : { DIE_AT: String(dieAt) }),
    },
    ...(dieAt === undefined ? {} : { flags: ['--import', preload] }),
  })
}

const planning = (bundle: string, from = 'accounts.txt') =>
  [
    'recovery',
    'plan',
    bundle,
    '--env',
    'prod',
    '--lost',
    keys.lost.did,
    '--replacement',
    'fresh',
  ].concat(['--from', from, '--rate', '10000'])

const shares = () => {
  const record = ['--record', 'key/recovery-key.json']
  return record.concat(
    ...['anna', 'ben'].map((id) => ['--share', home.share(id), '--identity', home.identity(id)]),
  )
}

/** The ceremony: the card from hands of its own, the words from the paper of the plan. */
async function signOffline(bundle: string, result: string): Promise<string> {
  const { intent } = await openBundle(home.path(bundle))
  await writeFile(home.path('card.yaml'), cardOf(intent))
  const words = digestWords(intentDigest(intent), 8).join(' ')
  const args = ['sign', '--trust', 'card.yaml', ...shares(), '--out', result, '--json', bundle]
  const signed = await home.run(args, { input: `${words}\n` })
  expect(signed).toMatchObject({ code: 0 })
  const { result: digest } = JSON.parse(signed.out) as { result: string }
  return digestWords(new Uint8Array(Buffer.from(digest, 'hex')), 8).join(' ')
}

let ceremony: string
let resultWords: string

describe('recovery plan', () => {
  test('makes a bundle of the evidence, with no database near', async () => {
    const { code, out, err } = await holdfast(planning('bundle'))
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toContain('12 get the new key in the place of the lost one')
    expect(out).toMatch(/ 1\. \w+ +2\. \w+/)
    expect(await readdir(home.path('bundle'))).toEqual([
      'accounts',
      'evidence.jsonl',
      'intent.json',
      'policies.cbor',
    ])
    expect(await readdir(home.path('data'))).not.toContain('pg')
    const { intent } = await openBundle(home.path('bundle'))
    ceremony = intent.ceremony
    expect(intent).toMatchObject({
      lost: keys.lost.did,
      did: fresh,
      recovery: keys.recovery.did,
      accounts: { count: dids.size },
      excluded: { 'recovery-key-not-listed': 2, tombstoned: 2, 'not-registered': 2 },
    })
  })

  test('killed at its writes, each in turn or one in so many, it goes on, and the bundle is whole', async () => {
    const count = await holdfast(planning('counted'), { dieAt: 0 })
    const writes = Number(/writes: (\d+)/.exec(count.err)?.[1])
    expect(writes).toBeGreaterThan(10)
    const whole = await readFile(home.path('counted/evidence.jsonl'))
    // EVERY_WRITE=1: all of them, by name.
    const step = process.env['EVERY_WRITE'] === '1' ? 1 : Math.ceil(writes / 9)
    for (let at = 1; at <= writes; at += step) {
      const bundle = `killed-${at}`
      expect((await holdfast(planning(bundle), { dieAt: at })).code).toBeNull()
      await holdfast(planning(bundle))
      expect(await readFile(home.path(`${bundle}/evidence.jsonl`))).toEqual(whole)
      expect((await openBundle(home.path(bundle))).intent.operations.count).toBe(12)
    }
  }, 300_000)

  test.each([
    ['another key of the list', ['--lost', 'nobody'], 'keys.yaml names no key nobody'],
    ['a replacement that is not there', ['--replacement', 'nobody'], 'no online key nobody'],
    ['no account', ['--from', 'empty.txt'], 'no account is named'],
    [
      'a line that is no DID',
      ['--from', 'wrong.txt'],
      'wrong.txt: line 2 is not a did:plc: "alice"',
    ],
  ])('refuses %s', async (_what, args, says) => {
    await writeFile(home.path('empty.txt'), '\n')
    await writeFile(home.path('wrong.txt'), '\nalice\n')
    const { code, err } = await holdfast([...planning('none'), ...args])
    expect(code).toBeGreaterThan(0)
    expect(err).toContain(says)
  })
})

describe('recovery import', () => {
  test('takes a result only with the words that were written down', async () => {
    resultWords = await signOffline('bundle', 'result')
    const args = ['recovery', 'import', '--trust', 'card.yaml', 'bundle', 'result']
    const wrong = await holdfast(args, { database: true, input: `wrong ${resultWords}\n` })
    expect(wrong.code).toBe(1)
    expect(wrong.err).toContain('word 1 is another one')
    const right = await holdfast(args, { database: true, input: `${resultWords}\n` })
    expect(right).toMatchObject({ code: 0 })
    expect(right.out).toContain('12 operations of ceremony')
    const again = await holdfast(args, { database: true, input: `${resultWords}\n` })
    expect(again).toMatchObject({ code: 0 })
    expect(again.out).toContain('was imported before')
  })
})

test('recovery import, killed between any two of its writes, is taken up by the next', async () => {
  const other = ['--from', 'accounts.txt', '--rate', '10000']
  const planned = await holdfast([...planning('twice').slice(0, -4), ...other])
  expect(planned.code).toBe(0)
  const words = await signOffline('twice', 'twice-result')
  const args = ['recovery', 'import', '--trust', 'card.yaml', 'twice', 'twice-result']
  const { intent } = await openBundle(home.path('twice'))
  for (const table of ['ceremonies', 'ceremony_operations', 'audit_outbox']) {
    const lock = new Client(database.administrator)
    await lock.connect()
    await lock.query(`begin; lock table ${table} in exclusive mode`)
    const child = spawnCommand(args, `${words}\n`)
    await untilWaiting(lock)
    child.kill('SIGKILL')
    await lock.query('rollback')
    await lock.end()
    const refused = await holdfast(['recovery', 'submit', intent.ceremony], { database: true })
    expect(refused.err).toMatch(/is not known here|is not whole/)
  }
  const whole = await holdfast(args, { database: true, input: `${words}\n` })
  expect(whole.code).toBe(0)
  const { out } = await holdfast(['recovery', 'status', intent.ceremony, '--json'], {
    database: true,
  })
  expect(JSON.parse(out)).toMatchObject({ complete: true, states: { planned: 12 } })
})

function spawnCommand(args: readonly string[], input: string): ChildProcess {
  const program = fileURLToPath(new URL('../../scripts/holdfast.ts', import.meta.url))
  const child = spawn(process.execPath, [program, ...args], {
    cwd: home.dir,
    env: { PATH: process.env['PATH'] ?? '', ...env, HOME: home.dir, DATABASE_URL: database.url },
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  child.stdin?.end(input)
  return child
}

/** Somebody waits for the lock that this session holds. */
async function untilWaiting(lock: Client): Promise<void> {
  for (let look = 0; look < 600; look += 1) {
    const { rows } = await lock.query(
      'select 1 from pg_locks where not granted and database = (select oid from pg_database where datname = current_database())',
    )
    if (rows.length > 0) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error('nobody has come to the lock')
}

describe('recovery submit', () => {
  let moved: string

  test('brings every account under the new key, but never over a head that has moved', async () => {
    moved = [...dids].find(([, kind]) => kind === 'renamed')![0]
    await rename(moved)
    const args = ['recovery', 'submit', ceremony, '--rate', '10000']
    const { code, out } = await holdfast(args, { database: true })
    expect(code).toBe(1)
    expect(out).toContain('11 observed: in force')
    expect(out).toMatch(new RegExp(`stale: ${moved} \\(the head is bafy`))
    for (const [did, kind] of dids) {
      const entries = directory.entries(did)
      expect(entries.filter(({ nullified }) => nullified)).toEqual([])
      const head = entries.at(-1)?.operation as PlcOperation | undefined
      const isSaved = savable.some((one) => one === kind) && did !== moved
      expect(head?.rotationKeys?.includes(fresh) ?? false).toBe(isSaved)
    }
  })

  test('run again it sends nothing twice', async () => {
    const posts = () => directory.requests().filter((line) => line.startsWith('POST')).length
    const before = posts()
    const args = ['recovery', 'submit', ceremony, '--rate', '10000', '--json']
    expect((await holdfast(args, { database: true })).code).toBe(1)
    expect(posts()).toBe(before)
  })

  test('the account that went on is planned again, and comes back too', async () => {
    const args = planning('second').slice(0, -4)
    const planned = await holdfast([...args, '--stale', ceremony, '--rate', '10000'], {
      database: true,
    })
    expect(planned).toMatchObject({ code: 0 })
    const { intent } = await openBundle(home.path('second'))
    expect(intent.accounts.count).toBe(1)
    const words = await signOffline('second', 'second-result')
    const importing = ['recovery', 'import', '--trust', 'card.yaml', 'second', 'second-result']
    expect((await holdfast(importing, { database: true, input: `${words}\n` })).code).toBe(0)
    const submitting = ['recovery', 'submit', intent.ceremony, '--rate', '10000']
    const { code, out } = await holdfast(submitting, { database: true })
    expect(code).toBe(0)
    expect(out).toContain('1 observed: in force')
    const head = directory.entries(moved).at(-1)?.operation as PlcOperation
    expect(head).toMatchObject({
      alsoKnownAs: ['at://moved-on.example.com'],
      rotationKeys: [keys.recovery.did, fresh],
    })
  })

  test('a plan of the accounts in care says who has the new key already', async () => {
    await writeFile(home.path('saved.txt'), [...dids.keys()].join('\n'))
    const enrolling = ['enroll', '--from', 'saved.txt', '--rate', '10000', '--json']
    await holdfast(enrolling, { database: true })
    const args = planning('third').slice(0, -4)
    const planned = await holdfast([...args, '--in-care', '--rate', '10000'], { database: true })
    expect(planned).toMatchObject({ code: 0 })
    const { intent } = await openBundle(home.path('third'))
    expect(intent.operations.count).toBe(0)
    expect(intent.excluded['already-replaced']).toBe(12)
  })

  test('status accounts for every account of the plan', async () => {
    const { code, out } = await holdfast(['recovery', 'status', ceremony, '--json'], {
      database: true,
    })
    expect(code).toBe(1)
    const { accounts, states, excluded } = JSON.parse(out) as {
      accounts: number
      states: Record<string, number>
      excluded: Record<string, number>
    }
    const sum = [...Object.values(states), ...Object.values(excluded)].reduce((a, b) => a + b, 0)
    expect(sum).toBe(accounts)
    expect(states).toMatchObject({ observed: 11, stale: 1 })
  })
})

/** By the key that was lost, the moment before it was: a change that nobody may undo. */
async function rename(did: string): Promise<void> {
  const head = directory.entries(did).at(-1)!
  const { sig: _, ...before } = head.operation as PlcOperation & { sig: string }
  const operation = { ...before, alsoKnownAs: ['at://moved-on.example.com'], prev: head.cid }
  const signed = attachSignature(operation, await keys.lost.sign(signingBytes(operation)))
  const response = await fetch(`${directory.url}/${did}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(signed),
  })
  expect(response.status).toBe(200)
  expect(directory.entries(did).at(-1)?.cid).toBe(cidOf(signed))
}
