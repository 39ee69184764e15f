import { decode } from '@ipld/dag-cbor'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { appendEntries, bodiesOf, openTestLog, wholeSizeOf } from '../support/audit-log.ts'
import type { TestLog } from '../support/audit-log.ts'
import { createTestDatabase } from '../support/postgres.ts'
import type { TestDatabase } from '../support/postgres.ts'

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

const wholeSize = async () => await wholeSizeOf(log)
const bodies = async () => await bodiesOf(log.pool)

test('what waits is appended in order behind the entry that begins the log, and checkpointed', async () => {
  await log.append(3)
  await log.settle()

  expect(await wholeSize()).toBe(4)
  const [first, ...rest] = (await bodies()).map((body) => decode<Record<string, unknown>>(body))
  expect(first).toMatchObject({
    kind: 'trust.initialised',
    store: (await log.held.read())!.storeId,
  })
  expect(rest.map(({ head }) => head)).toEqual(['0', '1', '2'])
  expect(log.gate.cause()).toBeNull()
})

test('full tiles are kept, and a new term goes on from them', async () => {
  await log.append(70_000)
  await log.settle()
  const { rows } = await log.pool.query(
    'select level, count(*)::int as tiles, min(length(hashes)) as bytes from audit_tiles group by level order by level',
  )
  expect(rows).toEqual([
    { level: 0, tiles: 273, bytes: 8192 },
    { level: 1, tiles: 1, bytes: 8192 },
  ])
  await log.resign()
  await log.append(300)
  await log.settle()

  expect(await wholeSize()).toBe(70_301)
  // Another process, which knows nothing but what is stored and held.
  const other = await openTestLog(database, { heldDir: log.heldDir })
  await other.look()
  expect(other.gate.cause()).toBeNull()
  await other.close()
})

test('nothing is appended twice, and no index is left out, by two instances at once', async () => {
  const other = await openTestLog(database, { heldDir: log.heldDir })
  await log.look()
  await other.look()
  await log.append(2000)
  await Promise.all([log.settle(), other.settle()])
  await log.resign()
  await log.append(100)
  await Promise.all([other.settle(), log.settle()])
  await log.settle()

  expect(await wholeSize()).toBe(2101)
  await other.close()
})

test('a transaction that commits late is appended late, and not missed', async () => {
  const slow = await log.pool.connect()
  await slow.query('begin')
  await appendEntries(slow, 1)
  await log.append(1)
  await log.settle()
  expect(await wholeSize()).toBe(2)
  await slow.query('commit')
  slow.release()
  await log.settle()

  expect(await wholeSize()).toBe(3)
})

test('a term that was lost writes nothing any more', async () => {
  await log.append(1)
  await log.settle()
  await log.outside.query('update audit_head set epoch = epoch + 1')
  await log.append(1)
  expect(await log.sequence()).toBe(0)
  expect(log.events.at(-1)).toMatchObject({ kind: 'term-over' })
  await log.settle()

  expect(await wholeSize()).toBe(3)
})

test('an entry of a revocation stays findable after it left the outbox', async () => {
  await log.pool.query(
    `insert into audit_outbox (kind, subject, body) values ('caller.revoked', 'HFAKX', '')`,
  )
  await log.settle()
  const { rows } = await log.pool.query(
    'select idx, look_up from audit_entries where look_up is not null',
  )
  expect(rows).toEqual([{ idx: '1', look_up: 'caller.revoked HFAKX' }])
})

describe('the gap between append and checkpoint', () => {
  test('a database ahead of the held record is proven to extend it, and checkpointed', async () => {
    await log.append(10)
    await log.settle()
    await log.append(10)
    while ((await log.sequence()) > 0);
    await log.resign()
    const next = await openTestLog(database, { heldDir: log.heldDir })
    await next.settle()
    expect(next.gate.cause()).toBeNull()
    await next.close()

    expect(await wholeSize()).toBe(21)
  })

  test('a crash between swap and signature leaves the same checkpoint to be signed', async () => {
    await log.append(10)
    await log.settle()
    const [before] = (await log.outside.query('select * from audit_checkpoint')).rows
    await log.outside.query(`update audit_checkpoint set size = 1, note = 'an older one'`)
    const next = await openTestLog(database, { heldDir: log.heldDir })
    await log.resign()
    await next.settle()
    await next.settle()

    expect((await log.outside.query('select * from audit_checkpoint')).rows).toEqual([before])
    await next.close()
  })

  test('a log that does not extend the held record is not signed for', async () => {
    await log.append(10)
    await log.settle()
    await log.append(1)
    while ((await log.sequence()) > 0);
    await log.resign()
    await log.outside.query('alter table audit_entries disable trigger all')
    await log.outside.query(`update audit_entries set body = 'x' where idx = 3`)
    await log.outside.query('alter table audit_entries enable always trigger audit_entries_rows')
    await log.outside.query(
      'alter table audit_entries enable always trigger audit_entries_truncate',
    )
    const next = await openTestLog(database, { heldDir: log.heldDir })
    await next.settle()

    expect(next.gate.cause()).toContain('another root at 11 entries')
    expect(await next.held.read()).toMatchObject({ size: 11 })
    await next.close()
  })
})

describe('the held record', () => {
  test('is not made where the log is not empty', async () => {
    await log.append(1)
    await log.settle()
    const fresh = await openTestLog(database)
    await fresh.settle()
    expect(fresh.gate.cause()).toContain('there is no held record')
    await fresh.close()
  })

  test('is never made implicitly where that is not allowed', async () => {
    const strict = await openTestLog(database, { mayBegin: false })
    await strict.settle()
    expect(strict.gate.cause()).toContain('run "scripts/holdfast trust init"')
    await strict.close()
  })

  test("is another log's when the first entry names another one, also before there is a root", async () => {
    await log.append(1)
    await log.settle()
    const empty = await createTestDatabase()
    const other = await openTestLog(empty)
    await other.look()
    const mixed = await openTestLog(database, { heldDir: other.heldDir })
    await mixed.settle()
    expect(mixed.gate.cause()).toContain("another log's")
    await mixed.close()
    await other.close()
    await empty.drop()
  })

  test('swapped by another log stops this one, which signs nothing', async () => {
    await log.append(5)
    await log.settle()
    const held = await log.held.read()
    await log.held.replace(held!, { ...held!, size: 7, root: new Uint8Array(32) })
    await log.append(5)
    await log.settle()
    expect(log.gate.cause()).toContain('behind the held record')
    expect(await log.sequence()).toBe(0)
    expect((await bodies()).length).toBe(6)
  })
})
