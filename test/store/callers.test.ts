import { createHash, randomBytes } from 'node:crypto'
import type { Pool } from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createSealer } from '../../src/sealing/sealer.ts'
import {
  addCredential,
  createCredentialFinder,
  credentialsInForce,
  listCredentials,
  revokeCredential,
} from '../../src/store/callers.ts'
import type { NewCredential } from '../../src/store/callers.ts'
import { createDatabase, createPool } from '../../src/store/database.ts'
import type { Database } from '../../src/store/database.ts'
import { createTestDatabase, outsidePool } from '../support/postgres.ts'
import type { TestDatabase } from '../support/postgres.ts'

// Whoever can write rows must not become a caller, and a revocation must not be taken back.

const sealer = createSealer(randomBytes(32))

let database: TestDatabase
let pool: Pool
/** Who can write any row. */
let outside: Pool
let db: Database
let made: NewCredential

beforeAll(async () => {
  database = await createTestDatabase()
  pool = createPool(database.connection)
  outside = outsidePool(database)
  pool.on('error', () => {})
  db = createDatabase(pool)
})
beforeEach(async () => {
  made = await addCredential(db, sealer, 'pds')
})
afterAll(async () => {
  await Promise.all([pool.end(), outside.end()])
  await database.drop()
})

const find = async (accessKeyId: string) => await createCredentialFinder(db, sealer)(accessKeyId)

const sealBroken = { name: 'StoreError', code: 'seal-broken' }

test('is found by its access key id, with its secret and the hash of its token', async () => {
  expect(await find(made.accessKeyId)).toEqual({
    caller: 'pds',
    accessKeyId: made.accessKeyId,
    secret: made.secretAccessKey,
    tokenHash: new Uint8Array(createHash('sha256').update(made.token).digest()),
  })
  expect(await find(`${made.accessKeyId}X`)).toBeNull()
})

test('neither secret nor token is in the database', async () => {
  const { rows } = await outside.query<{ row: string; entry: string }>(
    `select (select string_agg(encode(convert_to(t::text, 'UTF8'), 'escape'), '') from caller_credentials t) as row,
       (select string_agg(encode(body, 'escape'), '') from audit_outbox) as entry`,
  )
  const everything = JSON.stringify(rows)
  const asHex = (text: string) => Buffer.from(text).toString('hex')

  for (const secret of [made.secretAccessKey, made.token]) {
    expect(everything).not.toContain(secret)
    expect(everything).not.toContain(asHex(secret))
  }
  expect(everything).toContain(made.accessKeyId)
})

test('ten made at once have ten serials, and each its entry', async () => {
  const ten = await Promise.all(
    Array.from({ length: 10 }, async () => await addCredential(db, sealer, 'busy')),
  )
  const { rows } = await outside.query<{ serial: number; entries: number }>(
    `select serial, (select count(*)::int from audit_outbox
       where kind = 'caller.added' and subject = access_key_id) as entries
     from caller_credentials where caller = 'busy' order by serial`,
  )

  expect(rows).toEqual(ten.map((_, index) => ({ serial: index + 1, entries: 1 })))
})

describe('revoked', () => {
  test('is not found any more, and listed as revoked', async () => {
    expect(await revokeCredential(db, made.accessKeyId)).toBe('revoked')
    expect(await find(made.accessKeyId)).toBeNull()
    expect(await listCredentials(db)).toContainEqual(
      expect.objectContaining({ accessKeyId: made.accessKeyId, revoked: true }),
    )
    const inForce = await credentialsInForce(db, sealer)
    expect(inForce.map(({ accessKeyId }) => accessKeyId)).not.toContain(made.accessKeyId)
  })

  test('stays so when its row is deleted and brought back', async () => {
    const { rows } = await outside.query(
      'select * from caller_credentials where access_key_id = $1',
      [made.accessKeyId],
    )
    await revokeCredential(db, made.accessKeyId)
    await outside.query('delete from caller_credentials where access_key_id = $1', [
      made.accessKeyId,
    ])
    await outside.query(
      'insert into caller_credentials select * from json_populate_record(null::caller_credentials, $1)',
      [rowAsJson(rows[0])],
    )

    expect(await find(made.accessKeyId)).toBeNull()
    expect(await revokeCredential(db, made.accessKeyId)).toBe('already-revoked')
  })

  test('once, however often and however many at once', async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 10 }, async () => await revokeCredential(db, made.accessKeyId)),
    )
    const { rowCount } = await outside.query(
      `select 1 from audit_outbox where kind = 'caller.revoked' and subject = $1`,
      [made.accessKeyId],
    )

    expect(outcomes.filter((outcome) => outcome === 'revoked')).toHaveLength(1)
    expect(rowCount).toBe(1)
  })

  test('does not touch the caller’s others', async () => {
    const other = await addCredential(db, sealer, 'pds')
    await revokeCredential(db, made.accessKeyId)

    expect(await find(other.accessKeyId)).toMatchObject({ caller: 'pds' })
  })

  test('of an unknown id says so', async () => {
    expect(await revokeCredential(db, 'HFAKNOBODY')).toBe('unknown')
  })
})

describe('a sealed secret does not open', () => {
  const changes: Record<string, string> = {
    'in a row of another caller': `caller = 'other-' || substr(access_key_id, 5)`,
    'under another access key id': `access_key_id = access_key_id || 'X'`,
    'under another serial': `serial = serial + 100000`,
    'beside the hash of another token': `token_hash = sha256('a token of their own')`,
    'with a bit changed': `sealed_secret = set_byte(sealed_secret, 40, get_byte(sealed_secret, 40) # 1)`,
    'cut short': `sealed_secret = substr(sealed_secret, 1, 20)`,
    'when it is empty': `sealed_secret = ''`,
  }
  test.each(Object.entries(changes))('%s', async (_name, change) => {
    const { rows } = await outside.query<{ access_key_id: string }>(
      `update caller_credentials set ${change} where access_key_id = $1 returning access_key_id`,
      [made.accessKeyId],
    )
    const id = rows[0]?.access_key_id ?? ''

    await expect(find(id)).rejects.toMatchObject(sealBroken)
    await expect(credentialsInForce(db, sealer)).rejects.toMatchObject(sealBroken)
    await outside.query('delete from caller_credentials where access_key_id = $1', [id])
  })

  test('in the place of another credential’s, of the same caller', async () => {
    const other = await addCredential(db, sealer, 'pds')
    await outside.query(
      `update caller_credentials mine set sealed_secret = theirs.sealed_secret, token_hash = theirs.token_hash
       from caller_credentials theirs where mine.access_key_id = $1 and theirs.access_key_id = $2`,
      [made.accessKeyId, other.accessKeyId],
    )

    await expect(find(made.accessKeyId)).rejects.toMatchObject(sealBroken)
    await outside.query('delete from caller_credentials where access_key_id = $1', [
      made.accessKeyId,
    ])
  })

  test('with another secret file, which the error names', async () => {
    const stranger = createSealer(randomBytes(32))

    await expect(createCredentialFinder(db, stranger)(made.accessKeyId)).rejects.toThrow(
      'HOLDFAST_SECRET_FILE',
    )
    await expect(credentialsInForce(db, stranger)).rejects.toThrow('HOLDFAST_SECRET_FILE')
  })

  test('and the look-ups beside it are answered all the same', async () => {
    const broken = await addCredential(db, sealer, 'pds')
    await outside.query(`update caller_credentials set serial = -1 where access_key_id = $1`, [
      broken.accessKeyId,
    ])
    const finder = createCredentialFinder(db, sealer)
    const answers = await Promise.allSettled([
      finder(made.accessKeyId),
      finder(broken.accessKeyId),
      finder('HFAKNOBODY'),
    ])

    expect(answers.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    await outside.query('delete from caller_credentials where access_key_id = $1', [
      broken.accessKeyId,
    ])
  })
})

/** Bytes as Postgres reads them from JSON. */
function rowAsJson(row: Record<string, unknown>): string {
  const value = (field: unknown) => (Buffer.isBuffer(field) ? `\\x${field.toString('hex')}` : field)
  return JSON.stringify(
    Object.fromEntries(Object.entries(row).map(([name, field]) => [name, value(field)])),
  )
}
