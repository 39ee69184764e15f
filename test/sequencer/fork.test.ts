import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { logForkDigest, parseLogFork } from '../../src/approval/log-fork.ts'
import { decodeEntry } from '../../src/audit/decode.ts'
import { startJobs } from '../../src/jobs.ts'
import type { Jobs } from '../../src/jobs.ts'
import { forkLog } from '../../src/sequencer/fork.ts'
import type { ForkedEntry } from '../../src/sequencer/fork.ts'
import type { HeldStore } from '../../src/sequencer/held.ts'
import { restoreLog } from '../../src/sequencer/restore.ts'
import { digestWords } from '../../src/words/words.ts'
import { startDirectory } from '../e2e/support/directory.ts'
import { bodiesOf } from '../support/audit-log.ts'
import { openInstance } from '../support/instance.ts'
import type { Instance } from '../support/instance.ts'
import { genesisOf, renamed } from '../support/operations.ts'
import type { Signed } from '../support/operations.ts'
import { createTestDatabase, testServer } from '../support/postgres.ts'
import type { TestDatabase } from '../support/postgres.ts'
import { runCommand } from '../support/run-command.ts'

// Last night's backup, beside the held record of today; and no export that has what is missing.

let database: TestDatabase
let backup: string
let dataDir: string
let service: Instance
let jobs: Jobs
let account: Signed

beforeEach(async () => {
  database = await createTestDatabase()
  dataDir = await mkdtemp(join(tmpdir(), 'holdfast-fork-'))
  await start(database.url)
  account = await service.account('before')
  await checkpointed()
  await stop()
  backup = `backup_${randomBytes(8).toString('hex')}`
  await administer(
    `create database ${backup} template ${database.connection.database} owner ${database.owner.user}`,
  )
  await start(database.url)
  await service.sign(renamed(account, 'lost'))
  await checkpointed()
  const before = service
  await stop()
  await start(backupUrl(), before)
})
afterEach(async () => {
  await stop()
  await rm(dataDir, { recursive: true })
  await database.drop()
  await administer(`drop database ${backup} with (force)`)
})

async function administer(statement: string): Promise<void> {
  const admin = new Client((await testServer()).administrator)
  await admin.connect()
  await admin.query(statement)
  await admin.end()
}

const backupUrl = () => {
  const url = new URL(database.url)
  url.pathname = `/${backup}`
  return url.href
}

async function start(databaseUrl: string, before?: Instance): Promise<void> {
  const world =
    before === undefined ? {} : { directory: before.directory, released: before.released }
  service = await openInstance({ dataDir, databaseUrl, ...world })
  jobs = startJobs(service.context, pino({ level: 'silent' }))
}

async function stop(): Promise<void> {
  await jobs.stop()
  await service.close()
}

async function checkpointed(): Promise<void> {
  await expect
    .poll(async () => {
      const { rows } = await service.pool.query('select count(*)::int as waiting from audit_outbox')
      const { range } = await service.context.auditLog.store.head()
      return (
        rows[0]?.waiting === 0 && (await service.context.auditLog.held.read())?.size === range.size
      )
    })
    .toBe(true)
}

const cause = () => service.context.auditLog.gate.cause()

/** What is given up, as it stands now. */
async function entryNow(fields: Partial<ForkedEntry> = {}): Promise<ForkedEntry> {
  const { auditLog } = service.context
  const held = (await auditLog.held.read())!
  const { range } = await auditLog.store.head()
  return {
    kind: 'log.forked',
    from: held.origin,
    size: held.size,
    root: held.root,
    had: range.size,
    origin: `${held.origin}-forked`,
    checkpointKey: 'none+00000000+AA',
    agreed: { request: '{}', approvals: [] },
    ...fields,
  }
}

async function fork(entry: ForkedEntry, held: HeldStore = service.context.auditLog.held) {
  const { store } = service.context.auditLog
  return await forkLog(store, held, { held: (await held.read())!, entry })
}

test('entries that are lost for good stop signing, a restore finds nothing, and only a fork goes on', async () => {
  expect(cause()).toContain('the database is behind the held record')
  const refused = await service.sign(genesisOf('never', [service.key.did]))
  expect(refused).toMatchObject({ kind: 'busy' })
  const { auditLog } = service.context
  const held = (await auditLog.held.read())!
  const empty = restoreLog(auditLog.store, held, async () => null)
  await expect(empty).rejects.toThrow('no file "checkpoint"')

  const entry = await entryNow()
  expect(await fork(entry)).toMatchObject({ kind: 'forked', held: { origin: entry.origin } })
  await expect.poll(cause).toBeNull()
  const bodies = await bodiesOf(service.pool)
  expect(decodeEntry(bodies[entry.had]!).entry).toEqual(entry)
  expect((await service.sign(genesisOf('after', [service.key.did]))).kind).toBe('signed')
  await checkpointed()
  expect((await auditLog.store.checkpoint())?.note.split('\n')[0]).toBe(entry.origin)
})

test('a fork that dies before the held record is swapped is taken up again, with one entry', async () => {
  const { held } = service.context.auditLog
  const entry = await entryNow()
  const dying: HeldStore = {
    ...held,
    replace: async () => {
      throw new Error('died')
    },
  }
  await expect(fork(entry, dying)).rejects.toThrow('died')
  expect(cause()).toContain('behind')
  expect((await fork(entry)).kind).toBe('forked')
  await expect.poll(cause).toBeNull()
  const kinds = (await bodiesOf(service.pool)).map((body) => decodeEntry(body).entry.kind)
  expect(kinds.filter((kind) => kind === 'log.forked')).toHaveLength(1)
})

test('another loss than the one that was approved is not given up', async () => {
  const entry = await entryNow()
  expect((await fork({ ...entry, had: entry.had - 1 })).kind).toBe('another-loss')
  expect((await fork({ ...entry, root: new Uint8Array(32) })).kind).toBe('another-loss')
  expect((await fork({ ...entry, size: entry.size + 1 })).kind).toBe('another-loss')
  expect(cause()).toContain('behind')
})

test('a log that has lost nothing is not forked', async () => {
  await fork(await entryNow())
  await expect.poll(cause).toBeNull()
  await checkpointed()
  await jobs.stop()
  await service.context.auditLog.resign()
  expect((await fork(await entryNow({ size: 1_000 }))).kind).toBe('nothing-lost')
})

test('audit fork writes down what is given up, and does it with the operator’s words', async () => {
  await stop()
  const directory = await startDirectory()
  try {
    const run = async (input = '') =>
      await runCommand(['audit', 'fork', join(dataDir, 'fork.json')], {
        cwd: dataDir,
        input,
        env: {
          HOME: dataDir,
          HOLDFAST_DATA_DIR: dataDir,
          HOLDFAST_PLC_URL: directory.url,
          DATABASE_URL: backupUrl(),
        },
      })
    const described = await run()
    expect(described).toMatchObject({ code: 0 })
    expect(described.out).toContain('nothing is done yet. Its words:')
    const text = await readFile(join(dataDir, 'fork.json'), 'utf8')
    const request = parseLogFork(text, 'fork.json')
    const words = digestWords(logForkDigest(request), 8).join(' ')
    expect((await run(`not ${words}\n`)).err).toContain('word 1 is another one')
    await writeFile(join(dataDir, 'fork.json'), text.replace('"had": ', '"had":  '))
    expect((await run(`${words}\n`)).err).toContain('is not written as a request for a fork is')
    await writeFile(join(dataDir, 'fork.json'), text)
    const forked = await run(`${words}\n`)
    expect(forked).toMatchObject({ code: 0 })
    expect(forked.out).toContain(`The log goes on as ${request.origin}`)
    expect((await run(`${words}\n`)).err).toContain('nothing is lost')
  } finally {
    await directory.stop()
    await start(backupUrl())
  }
  await expect.poll(cause).toBeNull()
})
