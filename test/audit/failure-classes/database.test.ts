import { afterEach, beforeEach, expect, test } from 'vitest'
import { encodeEntry } from '../../../src/audit/entry.ts'
import { createGate } from '../../../src/sequencer/gate.ts'
import { selfTest } from '../../../src/store/self-test.ts'
import {
  appendEntries,
  bodiesOf,
  entriesOf,
  openTestLog,
  wholeSizeOf,
} from '../../support/audit-log.ts'
import type { TestLog } from '../../support/audit-log.ts'
import { createTestDatabase } from '../../support/postgres.ts'
import type { TestDatabase } from '../../support/postgres.ts'

// Ways in which audit chains in Postgres fail elsewhere, each by its name; here those that a database
// and many writers are needed for. The pure ones stand beside the verifier.

let database: TestDatabase
let log: TestLog

beforeEach(async () => {
  database = await createTestDatabase()
  log = await openTestLog(database)
})
afterEach(async () => {
  await log.close()
  await database.drop()
})

test('audit-f1-fork: writers at once and two sequencers leave one line, without gap or fork', async () => {
  const other = await openTestLog(database, { heldDir: log.heldDir })
  await log.look()
  await other.look()
  const writers = Array.from({ length: 12 }, async () => {
    for (let turn = 0; turn < 10; turn += 1) {
      await log.append(3)
      await Promise.all([log.sequence(), other.sequence()])
    }
  })
  await Promise.all(writers)
  await other.settle()
  await log.settle()

  expect(await wholeSizeOf(log)).toBe(361)
  const about = (await entriesOf(log.pool)).map(({ body }) => body['did'] ?? body['store'])
  expect(new Set(about).size).toBe(361)
  await other.close()
})

test('audit-f2-hashed-not-stored: exactly the bytes that were hashed are stored', async () => {
  const body = Buffer.from('a26161fb3ff1999999999999616200', 'hex')
  await log.pool.query(`insert into audit_outbox (kind, subject, body) values ('x', 'x', $1)`, [
    body,
  ])
  await log.settle()

  expect(Buffer.from((await bodiesOf(log.pool))[1]!)).toEqual(body)
  expect(await wholeSizeOf(log)).toBe(2)
})

test('audit-f4-order: the index is the only order, whatever the order of commits and clocks', async () => {
  const early = await log.pool.connect()
  await early.query('begin')
  await appendEntries(early, 1)
  await log.append(1)
  await log.settle()
  await early.query('commit')
  early.release()
  await log.outside.query(`select setval('audit_outbox_id_seq', 1)`)
  await log.append(2)
  // Alarms for the sequence; then everything is proven and goes on.
  for (let turn = 0; turn < 3; turn += 1) await log.settle()

  expect(await wholeSizeOf(log)).toBe(5)
  const { rows } = await log.pool.query(
    'select array_agg(idx::int order by idx) as indexes from audit_entries',
  )
  expect(rows[0].indexes).toEqual([0, 1, 2, 3, 4])
})

test('audit-f5-truncation: a log without its tail, or without anything, is not whole', async () => {
  await log.append(5)
  await log.settle()
  await log.outside.query(
    'begin; alter table audit_entries disable trigger all; delete from audit_entries; commit',
  )
  await log.outside.query(`update audit_head set size = 0, peaks = ''`)
  const next = await openTestLog(database, { heldDir: log.heldDir })
  await next.look()

  expect(next.gate.cause()).not.toBeNull()
  expect(await next.sequence()).toBe(0)
  await next.close()
})

test('audit-f5-index: an entry that is hidden from the index, or stands there as another, stops signing', async () => {
  const { body } = encodeEntry(
    { kind: 'caller.revoked', caller: 'pds', accessKeyId: 'HFAK1', serial: 1 },
    new Date(),
  )
  await log.pool.query('insert into audit_outbox (kind, subject, body) values ($1, $2, $3)', [
    'caller.revoked',
    'HFAK1',
    Buffer.from(body),
  ])
  await log.settle()
  expect(log.gate.cause()).toBeNull()
  for (const value of [null, 'caller.revoked HFAK2', 'request.failed HFAK1']) {
    await log.outside.query('alter table audit_entries disable trigger all')
    await log.outside.query('update audit_entries set look_up = $1 where idx = 1', [value])
    await log.outside.query('alter table audit_entries enable always trigger audit_entries_rows')
    await log.outside.query(
      'alter table audit_entries enable always trigger audit_entries_truncate',
    )
    const next = await openTestLog(database, { heldDir: log.heldDir })
    await next.look()
    expect(next.gate.cause()).toBe('entry 1 is indexed in the database as something else')
    await next.close()
  }
})

test('audit-f6-truncate-trigger: truncating is refused by a trigger of its own, in every mode', async () => {
  await log.append(1)
  await log.settle()
  for (const before of ['', 'set session_replication_role = replica;']) {
    await expect(
      log.outside.query(`${before} truncate audit_entries, audit_tiles`),
    ).rejects.toMatchObject({ code: '23001' })
  }
  await expect(log.pool.query('truncate audit_entries')).rejects.toMatchObject({ code: '42501' })
})

test('audit-f7-owner: the role of the service owns nothing of the log and cannot loosen it', async () => {
  for (const statement of [
    'alter table audit_entries disable trigger all',
    'alter table audit_entries disable trigger audit_entries_rows',
    'set session_replication_role = replica',
    'drop table audit_entries',
    'alter function audit_log_is_append_only() rename to x',
    'create table child (idx bigint references audit_entries on delete cascade)',
  ]) {
    await expect(log.pool.query(statement)).rejects.toMatchObject({ code: '42501' })
  }
  expect(await selfTest(log.pool)).toEqual([])
})

test('audit-f8-verifier-not-run: when nobody looks any more, signing stops by itself', () => {
  let now = 0
  const gate = createGate()
  expect(gate.cause()).not.toBeNull()
  gate.open()
  gate.expectLooks(15_000, () => now)
  now = 15_000
  expect(gate.cause()).toBeNull()
  now = 15_001
  expect(gate.cause()).toBe('the audit log has not been looked at for too long')
  gate.open()
  expect(gate.cause()).toBeNull()
})
