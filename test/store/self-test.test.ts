import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Pool } from 'pg'
import { createPool } from '../../src/store/database.ts'
import { migrate } from '../../src/store/migrate.ts'
import { selfTest } from '../../src/store/self-test.ts'
import { createTestDatabase, outsidePool } from '../support/postgres.ts'
import type { TestDatabase } from '../support/postgres.ts'

let database: TestDatabase
let pool: Pool
let outside: Pool

beforeAll(async () => {
  database = await createTestDatabase()
  pool = createPool(database.connection)
  outside = outsidePool(database)
})
afterAll(async () => {
  await Promise.all([pool.end(), outside.end()])
  await database.drop()
})

test('finds nothing in a database as it is made', async () => {
  expect(await selfTest(pool)).toEqual([])
})

const role = 'holdfast'

describe('finds', () => {
  test.each([
    [
      'a right too many',
      `grant update on audit_entries to ${role}`,
      `revoke update on audit_entries from ${role}`,
      'has UPDATE on audit_entries',
    ],
    [
      'a right that everybody has',
      'grant delete on audit_tiles to public',
      'revoke delete on audit_tiles from public',
      'has DELETE on audit_tiles',
    ],
    [
      'a right on one column',
      `grant update (body) on audit_entries to ${role}`,
      `revoke update (body) on audit_entries from ${role}`,
      'has UPDATE of body on audit_entries',
    ],
    [
      'truncate',
      `grant truncate on requests to ${role}`,
      `revoke truncate on requests from ${role}`,
      'has TRUNCATE on requests',
    ],
    [
      'a right too few',
      `revoke insert on audit_outbox from ${role}`,
      `grant insert on audit_outbox to ${role}`,
      'lacks INSERT on audit_outbox',
    ],
    [
      'a sequence that can be set',
      `grant update on sequence audit_outbox_id_seq to ${role}`,
      `revoke update on sequence audit_outbox_id_seq from ${role}`,
      'has UPDATE on audit_outbox_id_seq',
    ],
    [
      'ownership',
      `alter table audit_entries owner to ${role}`,
      `alter table audit_entries owner to holdfast_owner; grant select, insert on audit_entries to ${role}`,
      `role ${role} owns table audit_entries`,
    ],
    [
      'a place to create in',
      `grant create on schema public to ${role}`,
      `revoke create on schema public from ${role}`,
      `role ${role} may create in schema public`,
    ],
    [
      'a trigger that is disabled',
      'alter table audit_entries disable trigger audit_entries_rows',
      'alter table audit_entries enable always trigger audit_entries_rows',
      'trigger audit_entries_rows is not enabled always',
    ],
    [
      'a trigger that replication skips',
      'alter table audit_tiles enable trigger audit_tiles_truncate',
      'alter table audit_tiles enable always trigger audit_tiles_truncate',
      'trigger audit_tiles_truncate is not enabled always',
    ],
    [
      'a trigger of somebody else',
      'create trigger a_stranger before insert on audit_entries for each row execute function audit_log_is_append_only()',
      'drop trigger a_stranger on audit_entries',
      'trigger a_stranger on audit_entries is not ours',
    ],
  ])('%s', async (_what, does, undoes, says) => {
    await outside.query(does)
    const findings = await selfTest(pool)
    await outside.query(undoes)

    expect(findings).toContain(says)
    expect(await selfTest(pool)).toEqual([])
  })

  test('a session that skips triggers or does not commit durably', async () => {
    const skips = new Client({
      ...database.administrator,
      options: '-c session_replication_role=replica -c synchronous_commit=off',
    })
    await skips.connect()
    const findings = await selfTest(skips)
    await skips.end()

    expect(findings).toContain('session_replication_role is replica')
    expect(findings).toContain('synchronous_commit is off')
    expect(findings).toContain('role holdfast_admin has the powers of role holdfast_admin')
  })

  test('the owner, when it runs the service', async () => {
    const owner = createPool(database.owner)
    expect(await selfTest(owner)).toContain('role holdfast_owner owns table requests')
    await owner.end()
  })
})

test('a migration takes back what was granted beside it', async () => {
  await outside.query(`grant update, delete on audit_entries to ${role}`)
  await migrate(database.owner, database.connection.user)
  expect(await selfTest(pool)).toEqual([])
})

describe('a superuser who does not disable the triggers cannot', () => {
  test.each([
    `update audit_entries set body = ''`,
    'delete from audit_entries',
    'truncate audit_entries',
    'truncate audit_tiles, audit_entries cascade',
    `set local session_replication_role = replica; delete from audit_entries`,
  ])('%s', async (statement) => {
    await outside.query(
      'insert into audit_entries (idx, leaf, body) values (0, $1, $1) on conflict do nothing',
      [Buffer.alloc(32)],
    )
    await expect(outside.query(`begin; ${statement}`)).rejects.toMatchObject({ code: '23001' })
    await outside.query('rollback')
  })
})
