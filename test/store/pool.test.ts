import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import type { Pool } from 'pg'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createDatabase, createPool } from '../../src/store/database.ts'
import { createTestDatabase, testServer } from '../support/postgres.ts'
import type { TestDatabase } from '../support/postgres.ts'

let database: TestDatabase
let pool: Pool

beforeAll(async () => {
  database = await createTestDatabase()
  pool = createPool(database.connection)
  pool.on('error', () => {})
})

afterAll(async () => {
  await pool.end()
  await database.drop()
})

test('a connection lost between two statements fails its transaction and nothing else', async () => {
  const db = createDatabase(pool)
  const lost = db.transaction(async (tx) => {
    await tx.execute(sql`select 1`)
    await endSessions()
    await tx.execute(sql`select 1`)
  })

  await expect(lost).rejects.toBeInstanceOf(Error)
  await expect(db.execute(sql`select 1`)).resolves.toBeDefined()
})

test('a connection lost while a statement runs fails its transaction and nothing else', async () => {
  const db = createDatabase(pool)
  const lost = db.transaction(async (tx) => {
    const sleeping = tx.execute(sql`select pg_sleep(10)`)
    await Promise.all([sleeping, endSessions()])
  })

  await expect(lost).rejects.toBeInstanceOf(Error)
  await expect(db.execute(sql`select 1`)).resolves.toBeDefined()
})

test('every connection commits durably and waits for nothing for ever', async () => {
  const settings = async (name: string) =>
    (await pool.query<Record<string, string>>(`show ${name}`)).rows[0]?.[name]

  expect(await settings('synchronous_commit')).toBe('on')
  expect(await settings('fsync')).toBe('on')
  expect(await settings('lock_timeout')).toBe('2s')
  expect(await settings('statement_timeout')).toBe('10s')
  expect(await settings('idle_in_transaction_session_timeout')).toBe('10s')
})

/** What a restarted server or an administrator does. */
async function endSessions(): Promise<void> {
  const { administrator } = await testServer()
  const admin = new Client(administrator)
  await admin.connect()
  await admin.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where datname = $1 and application_name = 'holdfast' and state <> 'idle'`,
    [database.connection.database],
  )
  await admin.end()
  // So that the event is here before the next statement is sent.
  await sleep(50)
}
