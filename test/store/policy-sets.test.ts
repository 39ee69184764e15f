import { afterAll, beforeAll, expect, test } from 'vitest'
import { decodeEntry } from '../../src/audit/decode.ts'
import { decodePolicySet } from '../../src/policy/canonical.ts'
import { decodeRoster, withDigest } from '../../src/policy/parse/roster.ts'
import { createDatabase, createPool } from '../../src/store/database.ts'
import { recordPolicies } from '../../src/store/policy-sets.ts'
import { allowAll, policySet, rule } from '../policy/cases.ts'
import { policySetDigest } from '../../src/policy/canonical.ts'
import { createTestDatabase } from '../support/postgres.ts'

const database = await createTestDatabase()
const pool = createPool(database.connection)
const db = createDatabase(pool)
const digested = (set = policySet()) => ({ ...set, digest: policySetDigest(set) })
const [one, two] = [digested(), digested(policySet({ rules: [allowAll, rule('MORE')] }))]
const rp = { id: 'localhost', origins: ['http://localhost:2590'] }

beforeAll(async () => await recordPolicies(db, one))
afterAll(async () => {
  await pool.end()
  await database.drop()
})

async function recorded() {
  const { rows } = await pool.query<{ body: Buffer }>('select body from audit_outbox order by id')
  return rows.map(({ body }) => decodeEntry(new Uint8Array(body)).entry)
}

test('the policies in force stand in the log, whole', async () => {
  const [entry] = await recorded()
  if (entry?.kind !== 'policy.changed') throw new Error('no entry')
  expect(entry.digest).toEqual(one.digest)
  expect(decodePolicySet(entry.set)).toEqual(one)
})

test('starting again, and two at once, write nothing; a change does, and so does the way back', async () => {
  await Promise.all([recordPolicies(db, one), recordPolicies(db, one)])
  expect(await recorded()).toHaveLength(1)
  await Promise.all([recordPolicies(db, two), recordPolicies(db, two)])
  await recordPolicies(db, one)
  const digests = (await recorded()).map((entry) => 'digest' in entry && entry.digest)
  expect(digests).toEqual([one.digest, two.digest, one.digest])
})

test('so do the officers, and a change of theirs leaves the policies where they are', async () => {
  const before = (await recorded()).length
  const officers = withDigest({ env: 'dev', epoch: 1, previous: null, rp, persons: [] })
  await recordPolicies(db, { ...one, roster: officers })
  await recordPolicies(db, { ...one, roster: officers })
  const next = withDigest({ ...officers, epoch: 2, previous: officers.digest })
  await recordPolicies(db, { ...one, roster: next })
  const entries = (await recorded()).slice(before)
  expect(entries.map(({ kind }) => kind)).toEqual(['roster.changed', 'roster.changed'])
  const [first] = entries
  if (first?.kind !== 'roster.changed') throw new Error('no entry')
  expect(decodeRoster(first.roster)).toEqual(officers)
  expect(first.digest).toEqual(officers.digest)
})
