import { getTableName, is } from 'drizzle-orm'
import { PgTable } from 'drizzle-orm/pg-core'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openDatabase } from '../../src/store/connect.ts'
import { applicationPrivileges } from '../../src/store/privileges.ts'
import { migrate } from '../../src/store/migrate.ts'
import * as schema from '../../src/store/schema.ts'
import { silentLog } from '../support/data-dir.ts'
import { createEmptyDatabase } from '../support/empty-database.ts'
import { createTestDatabase } from '../support/postgres.ts'
import type { TestDatabase } from '../support/postgres.ts'

let database: TestDatabase
let application: Client

beforeAll(async () => {
  database = await createTestDatabase()
  application = new Client(database.connection)
  application.on('error', () => {})
  await application.connect()
})
afterAll(async () => {
  await application.end()
  await database.drop()
})

test('every table of the schema says what the application may do with it', () => {
  const tables = Object.values<unknown>(schema).filter((value) => is(value, PgTable))

  expect(Object.keys(applicationPrivileges).toSorted()).toEqual(tables.map(getTableName).toSorted())
})

describe("the application's role", () => {
  test.each([
    ['changes what was asked for', `update requests set unsigned = ''`],
    ['deletes a request', 'delete from requests'],
    ['deletes an operation', 'delete from operations'],
    ['gives an identity to another caller', `update identities set caller = 'x'`],
    ['changes an entry', `update audit_outbox set body = ''`],
    ['truncates', 'truncate audit_outbox'],
    ['makes a table', 'create table mine (n int)'],
    ['makes a trigger', 'create trigger t before insert on requests execute function f()'],
    ['turns triggers off', 'set session_replication_role = replica'],
    ['rewinds a sequence', `select setval('audit_outbox_id_seq', 1)`],
  ])('never %s', async (_what, statement) => {
    await expect(application.query(statement)).rejects.toMatchObject({
      code: expect.stringMatching(/^(42501|42883)$/),
    })
  })
})

const options = (connection: TestDatabase, owner: string | null) => ({
  dataDir: '/nonexistent',
  databaseUrl: connection.url,
  databaseOwnerUrl: owner,
  log: silentLog,
})

test('a start without the owner says how to migrate, and changes nothing', async () => {
  const empty = await createEmptyDatabase()

  await expect(openDatabase(options(empty, null))).rejects.toMatchObject({
    code: 'schema',
    message: expect.stringContaining('run "scripts/holdfast migrate"'),
  })
  await migrate(empty.owner, empty.connection.user)
  const admin = new Client(empty.owner)
  await admin.connect()
  await admin.query(`update drizzle.__drizzle_migrations set hash = 'another version'`)
  await admin.end()
  await expect(openDatabase(options(empty, null))).rejects.toMatchObject({ code: 'schema' })
  await empty.drop()
})

test('a start with the owner migrates and grants, and works as the application', async () => {
  const empty = await createEmptyDatabase()
  const owner = new URL(empty.url)
  owner.username = empty.owner.user
  const opened = await openDatabase(options(empty, owner.href))
  const { rows } = await opened.db.$client.query('select current_user as role from requests')
  const [who] = (await opened.db.$client.query('select current_user as role')).rows

  expect(rows).toEqual([])
  expect(who).toEqual({ role: empty.connection.user })
  await opened.close()
  await empty.drop()
})

test('an owner that is the application itself is refused', async () => {
  await expect(openDatabase(options(database, database.url))).rejects.toMatchObject({
    code: 'roles',
  })
})
