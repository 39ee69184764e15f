import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { migrate } from '../../src/store/migrate.ts'
import { createEmptyDatabase } from '../support/empty-database.ts'
import { createTestDatabase } from '../support/postgres.ts'
import type { TestDatabase } from '../support/postgres.ts'

// Instances start at once, and starts are killed.

const source = fileURLToPath(new URL('../../src/store/migrate.ts', import.meta.url))

let empty: TestDatabase
beforeEach(async () => {
  empty = await createEmptyDatabase()
})
afterEach(async () => await empty.drop())

/** Every table, column, index and migration, as text. */
async function schemaOf({ owner }: TestDatabase): Promise<string[]> {
  const client = new Client(owner)
  await client.connect()
  const { rows } = await client.query<{ line: string }>(`
    select line from (
      select concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default) as line
      from information_schema.columns where table_schema = 'public'
      union all select indexdef from pg_indexes where schemaname = 'public'
      union all select hash from drizzle.__drizzle_migrations
    ) lines order by line`)
  await client.end()
  return rows.map(({ line }) => line)
}

test('a second time changes nothing', async () => {
  await migrate(empty.owner, empty.connection.user)
  const first = await schemaOf(empty)
  await migrate(empty.owner, empty.connection.user)

  expect(await schemaOf(empty)).toEqual(first)
  expect(first.length).toBeGreaterThan(20)
})

test('eight at once, each on its own connection, make what one alone makes', async () => {
  const alone = await createTestDatabase()
  await Promise.all(
    Array.from({ length: 8 }, async () => await migrate(empty.owner, empty.connection.user)),
  )

  expect(await schemaOf(empty)).toEqual(await schemaOf(alone))
  await alone.drop()
})

test('waits for one that is under way, and finds the work done', async () => {
  const other = new Client(empty.connection)
  await other.connect()
  await other.query('select pg_advisory_lock($1)', [0x686f6c64])
  let done = false
  const waiting = migrate(empty.owner, empty.connection.user).then(() => (done = true))
  await sleep(300)
  const doneEarly = done
  await other.end()
  await waiting

  expect(doneEarly).toBe(false)
})

test('a start killed at any moment leaves a database that the next one migrates', async () => {
  const script = `import { migrate } from ${JSON.stringify(source)}
    process.stdout.write('begun')
    await migrate(${JSON.stringify(empty.owner)}, ${JSON.stringify(empty.connection.user)})`
  for (let attempt = 0; attempt < 4; attempt += 1) {
    const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const ended = once(child, 'exit')
    await once(child.stdout, 'data')
    await sleep(attempt * 12)
    child.kill('SIGKILL')
    await ended
  }
  await migrate(empty.owner, empty.connection.user)
  const alone = await createTestDatabase()

  expect(await schemaOf(empty)).toEqual(await schemaOf(alone))
  await alone.drop()
})
