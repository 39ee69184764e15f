import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { decodeEntry } from '../../src/audit/decode.ts'
import { parseCheckpointText } from '../../src/audit/checkpoint.ts'
import { parseNote } from '../../src/audit/note.ts'
import { bundlePath, decodeBundle, encodeBundle, TILE_WIDTH } from '../../src/audit/tile.ts'
import { startJobs } from '../../src/jobs.ts'
import type { Jobs } from '../../src/jobs.ts'
import { restoreLog } from '../../src/sequencer/restore.ts'
import type { ReadExport } from '../../src/sequencer/restore.ts'
import { appendEntries, bodiesOf } from '../support/audit-log.ts'
import { openInstance } from '../support/instance.ts'
import type { Instance } from '../support/instance.ts'
import { genesisOf, renamed } from '../support/operations.ts'
import type { Signed } from '../support/operations.ts'
import { createTestDatabase, testServer } from '../support/postgres.ts'
import type { TestDatabase } from '../support/postgres.ts'

// Last night's backup on a fresh database, beside the held record of today and an export of the log.

type Export = Map<string, Uint8Array>

let database: TestDatabase
let backup: string
let dataDir: string
let service: Instance
let jobs: Jobs
let account: Signed

beforeEach(async () => {
  database = await createTestDatabase()
  dataDir = await mkdtemp(join(tmpdir(), 'holdfast-restore-'))
  await start(database.url)
  account = await service.account('before')
  await checkpointed()
  await stop()
  backup = `backup_${randomBytes(8).toString('hex')}`
  await administer(
    `create database ${backup} template ${database.connection.database} owner ${database.owner.user}`,
  )
  await start(database.url)
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

const backupUrl = () => {
  const url = new URL(database.url)
  url.pathname = `/${backup}`
  return url.href
}

/** The bundles and the checkpoint of a static tree, as tlog-tiles has them. */
async function exportOf(instance: Instance): Promise<Export> {
  const bodies = await bodiesOf(instance.pool)
  const tree: Export = new Map()
  for (let index = 0; index * TILE_WIDTH < bodies.length; index += 1) {
    const part = bodies.slice(index * TILE_WIDTH, (index + 1) * TILE_WIDTH)
    tree.set(bundlePath({ index, width: part.length }), encodeBundle(part))
  }
  await expect
    .poll(async () => (await instance.context.auditLog.store.checkpoint())?.size)
    .toBe(bodies.length)
  const note = (await instance.context.auditLog.store.checkpoint())?.note ?? ''
  tree.set('checkpoint', Buffer.from(note))
  return tree
}

const cause = () => service.context.auditLog.gate.cause()

async function restoreFrom(tree: Export) {
  return await restoreReading(async (path) => tree.get(path) ?? null)
}

async function restoreReading(read: ReadExport) {
  const { store, held } = service.context.auditLog
  return await restoreLog(store, (await held.read())!, read)
}

/** What a restore may have left: entries, rows, and words of its own that wait. */
async function found() {
  const { rows } = await service.pool.query(
    `select (select count(*)::int from audit_entries) as entries,
       (select size::int from audit_head) as size,
       (select count(*)::int from requests) as requests,
       (select count(*)::int from audit_outbox where kind = 'database.restored') as said`,
  )
  return rows[0] as { entries: number; size: number; requests: number; said: number }
}

describe('a restored database', () => {
  test('has the held root again after a restore from the export, and signing goes on', async () => {
    const answer = await service.sign(renamed(account, 'since'))
    await checkpointed()
    const tree = await exportOf(service)
    const before = service
    await stop()
    await start(backupUrl(), before)
    expect(cause()).toContain('the database is behind the held record')
    const held = await service.context.auditLog.held.read()
    expect(await restoreFrom(tree)).toMatchObject({ kind: 'restored', to: held!.size - 1 })
    await expect.poll(cause).toBeNull()
    await checkpointed()

    // What was signed since the backup is known: its own bytes get it back, and a rival finds it.
    expect(await service.sign(renamed(account, 'since'))).toEqual(answer)
    expect(await service.sign(renamed(account, 'rival'))).toMatchObject({
      kind: 'denied',
      rule: 'PREV-ONE-LIVE-SIGNATURE',
    })
    expect(await service.findings()).toEqual([])
    expect((await service.sign(genesisOf('after', [service.key.did]))).kind).toBe('signed')
  })

  test('keeps nothing in the outbox that the log has already', async () => {
    await jobs.stop()
    const { pool } = service
    await service.sign(renamed(account, 'pending'))
    const { rows } = await pool.query('select body from audit_outbox')
    jobs = startJobs(service.context, pino({ level: 'silent' }))
    await checkpointed()
    const tree = await exportOf(service)
    const before = service
    await stop()
    await start(backupUrl(), before)
    await jobs.stop()
    // A backup that was made while these waited.
    await service.pool.query(
      `insert into audit_outbox (kind, subject, body) select 'request.proposed', 'x', unnest($1::bytea[])`,
      [rows.map(({ body }) => body)],
    )
    await restoreFrom(tree)
    jobs = startJobs(service.context, pino({ level: 'silent' }))
    await expect.poll(cause).toBeNull()
    await checkpointed()

    expect(await service.findings()).toEqual([])
    const bodies = (await bodiesOf(service.pool)).map((body) => Buffer.from(body).toString('hex'))
    expect(new Set(bodies).size).toBe(bodies.length)
  })

  test('is left as it is by an export that lacks entries, and by one that was changed', async () => {
    await service.sign(renamed(account, 'since'))
    await checkpointed()
    const early = await exportOf(service)
    await service.sign(genesisOf('later', [service.key.did]))
    await checkpointed()
    const whole = await exportOf(service)
    const before = service
    await stop()
    await start(backupUrl(), before)
    const size = (await service.context.auditLog.store.head()).range.size
    const changed = new Map([...whole].map(([path, bytes]) => [path, new Uint8Array(bytes)]))
    const [bundle] = [...changed.keys()]
    changed.get(bundle!)![changed.get(bundle!)!.length - 1]! ^= 1

    expect(await restoreFrom(early)).toMatchObject({ kind: 'lost' })
    expect(await restoreFrom(changed)).toMatchObject({ kind: 'another-log' })
    expect((await service.context.auditLog.store.head()).range.size).toBe(size)
    expect(cause()).toContain('behind the held record')
    expect(await restoreFrom(whole)).toMatchObject({ kind: 'restored' })
    expect(await restoreFrom(whole)).toMatchObject({ kind: 'nothing-missing' })
  })

  describe('whose restore does not come to its end', () => {
    let tree: Export
    let restored: Awaited<ReturnType<typeof found>>

    beforeEach(async () => {
      // More than one batch is missing.
      await appendEntries(service.pool, 1500)
      await service.sign(renamed(account, 'since'))
      await checkpointed()
      tree = await exportOf(service)
      const before = service
      await stop()
      await start(backupUrl(), before)
      await jobs.stop()
      restored = await found()
    })

    /** Does something once the first batch of the pass that writes was read. */
    function readingThen(deed: (path: string) => Promise<Uint8Array | null>): ReadExport {
      let reads = 0
      const files = tree.size - 1
      return async (path) => {
        reads += 1
        // The checkpoint and each file once; then the files again: the first five are a batch, the sixth is next.
        return reads === 1 + files + 6 ? await deed(path) : (tree.get(path) ?? null)
      }
    }

    async function killRestorer(): Promise<void> {
      await administer(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = '${backup}' and state = 'idle in transaction'`,
      )
    }

    const nothingWritten = async () => {
      expect(await found()).toEqual(restored)
      expect(await restoreFrom(tree)).toMatchObject({ kind: 'restored', from: restored.size })
      expect(await found()).toMatchObject({ said: 1 })
      jobs = startJobs(service.context, pino({ level: 'silent' }))
      await expect.poll(cause).toBeNull()
      await checkpointed()
      const kinds = (await bodiesOf(service.pool)).map((body) => decodeEntry(body).entry)
      const said = kinds.filter(({ kind }) => kind === 'database.restored')
      expect(said).toMatchObject([{ had: restored.size }])
      expect(await service.findings()).toEqual([])
    }

    test('because its session dies between batches: nothing of it is there, and the next one is whole', async () => {
      const dying = readingThen(async (path) => {
        await killRestorer()
        return tree.get(path) ?? null
      })
      await expect(restoreReading(dying)).rejects.toThrow(/connection|terminat/i)
      await nothingWritten()
    })

    test('because a file is changed after it was hashed: nothing of it is there', async () => {
      const changing = readingThen(async (path) => {
        // Nothing but the order: each entry could be one of the log's.
        const width = parseCheckpointText(parseNote(tree.get('checkpoint')!).text).size % TILE_WIDTH
        const [one, other, ...rest] = decodeBundle(tree.get(path)!, width)
        return encodeBundle([other!, one!, ...rest])
      })
      await expect(restoreReading(changing)).rejects.toThrow(
        'the export was changed while it was read',
      )
      await nothingWritten()
    })
  })
})
