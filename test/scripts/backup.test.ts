import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startJobs } from '../../src/jobs.ts'
import { openVerifier } from '../../src/ecdsa/native.ts'
import { verifyLog } from '../../src/plc/log.ts'
import { openInstance } from '../support/instance.ts'
import { renamed } from '../support/operations.ts'
import { createTestDatabase } from '../support/postgres.ts'
import type { TestDatabase } from '../support/postgres.ts'
import { runCommand } from '../support/run-command.ts'
import type { Ran } from '../support/run-command.ts'

const preload = fileURLToPath(new URL('../support/die-at-write.mjs', import.meta.url))

let database: TestDatabase
let dir: string
let dids: string[]

beforeAll(async () => {
  database = await createTestDatabase()
  dir = await mkdtemp(join(tmpdir(), 'holdfast-backup-'))
  dids = await live(['anna', 'ben'])
})
afterAll(async () => {
  await database.drop()
  await rm(dir, { recursive: true })
})

/** The service signs for these accounts, and its log is checkpointed. */
async function live(names: readonly string[]): Promise<string[]> {
  const service = await openInstance({ dataDir: join(dir, 'data'), databaseUrl: database.url })
  const jobs = startJobs(service.context, pino({ level: 'silent' }))
  const made: string[] = []
  for (const name of names) {
    const account = await service.account(name)
    await service.sign(renamed(account, `${name}-new`))
    made.push(account.did)
  }
  const { auditLog } = service.context
  const isWhole = async () =>
    (await auditLog.store.checkpoint())?.size === (await auditLog.store.head()).range.size
  while (!(await isWhole())) await sleep(50)
  await jobs.stop()
  await service.close()
  return made
}

const backup = async (args: string[], dieAt?: number): Promise<Ran> =>
  await runCommand(['backup', ...args], {
    cwd: dir,
    env: {
      HOME: dir,
      HOLDFAST_DATA_DIR: join(dir, 'data'),
      DATABASE_URL: database.url,
      ...(dieAt === undefined ? {} : { DIE_AT: String(dieAt) }),
    },
    ...(dieAt === undefined ? {} : { flags: ['--import', preload] }),
  })

const filesOf = async (kit: string) =>
  (await readdir(join(dir, kit), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))

test('a kit holds the identities, their logs, the policies and the audit log', async () => {
  const ran = await backup(['kit', '--json'])
  expect(ran.code).toBe(0)
  expect(JSON.parse(ran.out)).toMatchObject({ identities: 2 })
  const listed = (await readFile(join(dir, 'kit/accounts.txt'), 'utf8')).trim().split('\n')
  expect(listed).toEqual([...dids].sort())
  const { verify } = openVerifier()
  for (const name of await readdir(join(dir, 'kit/logs'))) {
    const lines = (await readFile(join(dir, 'kit/logs', name), 'utf8')).trim().split('\n')
    for (const line of lines) {
      const log = JSON.parse(line) as { did: string }[]
      const { entries } = await verifyLog(log[0]!.did, log, verify)
      expect(entries).toHaveLength(2)
    }
  }
  expect(await readdir(join(dir, 'kit'))).toEqual([
    'README.txt',
    'accounts.txt',
    'audit',
    'keys.json',
    'logs',
    'manifest.json',
    'policies',
  ])
  const judged = await runCommand(['audit', 'verify', join(dir, 'kit/audit')])
  expect(judged.code).toBe(2)
  expect(judged.err).not.toContain('tampered')
  expect((await backup(['kit', '--check'])).code).toBe(0)
})

test('nothing in it is a secret of the data directory', async () => {
  const secrets = await Promise.all(
    (await filesOf('data'))
      .filter((file) => /secret$|keys\/.*\.json$|checkpoint\.key$|pds\.env$/.test(file))
      .map(async (file) => await readFile(file)),
  )
  expect(secrets.length).toBeGreaterThan(2)
  for (const file of await filesOf('kit')) {
    const content = await readFile(file)
    for (const secret of secrets) {
      expect(content.includes(secret)).toBe(false)
      expect(content.includes(secret.toString('base64').slice(0, 40))).toBe(false)
    }
  }
  expect((await stat(join(dir, 'kit/accounts.txt'))).mode & 0o777).toBe(0o600)
})

test('the next one writes only what has changed', async () => {
  const again = JSON.parse((await backup(['kit', '--json'])).out) as { written: number }
  expect(again.written).toBe(0)
  dids.push(...(await live(['cleo'])))
  const more = await backup(['kit', '--json'])
  // The list, and the file of its log.
  expect(JSON.parse(more.out)).toMatchObject({ identities: 3, written: 2 })
})

test('killed at any of its writes it is made whole by the next', async () => {
  const count = await backup(['counted'], 0)
  const writes = Number(/writes: (\d+)/.exec(count.err)?.[1])
  expect(writes).toBeGreaterThan(20)
  for (let at = 1; at <= writes; at += Math.ceil(writes / 6)) {
    const kit = `killed-${at}`
    expect((await backup([kit], at)).code).toBeNull()
    expect((await backup([kit])).code).toBe(0)
    expect((await backup([kit, '--check'])).code).toBe(0)
  }
})

test('--check names a file that was changed, taken away or put in', async () => {
  const file = join(dir, 'kit/accounts.txt')
  const whole = await readFile(file)
  const changed = Buffer.from(whole)
  changed[5]! ^= 1
  await writeFile(file, changed)
  await rm(join(dir, 'kit/keys.json'))
  await writeFile(join(dir, 'kit/logs/more.jsonl'), '')
  const { code, out } = await backup(['kit', '--check'])
  expect(code).toBe(1)
  expect(out).toContain('accounts.txt: was changed')
  expect(out).toContain('keys.json: is missing')
  expect(out).toContain('logs/more.jsonl: does not belong to the kit')
})
