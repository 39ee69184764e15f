import { decode } from '@ipld/dag-cbor'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createDatabase, createPool } from '../../src/store/database.ts'
import type { Database } from '../../src/store/database.ts'
import { recordKey, recordRetired } from '../../src/store/key-record.ts'
import { createTestDatabase } from '../support/postgres.ts'
import type { TestDatabase } from '../support/postgres.ts'

let database: TestDatabase
let db: Database

beforeAll(async () => {
  database = await createTestDatabase()
  db = createDatabase(createPool(database.connection))
})
afterAll(async () => {
  await db.$client.end()
  await database.drop()
})

async function entries(kind: string): Promise<Record<string, unknown>[]> {
  const { rows } = await db.$client.query<{ body: Buffer }>(
    'select body from audit_outbox where kind = $1 order by id',
    [kind],
  )
  return rows.map(({ body }) => decode(new Uint8Array(body)))
}

test('what happened to a key is one entry, with the time of the database', async () => {
  const entry = { kind: 'key.latched', serial: '4711', reason: 'refused' } as const
  await recordKey(db, entry)
  const [written] = await entries('key.latched')
  expect(written).toMatchObject(entry)
  expect(Math.abs(Number(written?.['at']) - Date.now())).toBeLessThan(60_000)
})

test('a retired key is on record once, however many instances start at once and again', async () => {
  const keys = [
    { id: 'a', did: 'did:key:zA' },
    { id: 'b', did: 'did:key:zB' },
  ]
  const starts = await Promise.all([1, 2, 3].map(async () => await recordRetired(db, keys)))
  expect(starts.flat().sort()).toEqual(['a', 'b'])
  expect(await recordRetired(db, [...keys, { id: 'c', did: 'did:key:zC' }])).toEqual(['c'])
  const known = (await entries('key.retired')).map(({ keyDid }) => keyDid)
  expect(known).toEqual(['did:key:zA', 'did:key:zB', 'did:key:zC'])
})
