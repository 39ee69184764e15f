import { decode } from '@ipld/dag-cbor'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { enroll } from '../../src/custody/enroll.ts'
import { didOfGenesis } from '../../src/plc/encode.ts'
import { buildLog, extendLog, keyNamed, rowOf, signLegacy } from '../plc/build-log.ts'
import type { Row } from '../plc/build-log.ts'
import { openCustody } from '../support/custody.ts'
import type { Custody } from '../support/custody.ts'
import { genesisOf, renamed } from '../support/operations.ts'

// An existing account is taken into care: its log is verified, and one of our keys has authority.

const strong = await keyNamed('enroll-strong')

let custody: Custody
let serial = 0

beforeAll(async () => {
  custody = await openCustody()
})
afterEach(async () => await custody.check())
afterAll(async () => await custody.close())

const ours = { did: () => custody.key.did }

/** A log on the directory; `weak` differs in each, so that no two accounts are the same. */
async function listed(steps: Parameters<typeof buildLog>[2] = []) {
  const weak = await keyNamed(`enroll-${(serial += 1)}`)
  const rows = await buildLog([strong, weak, ours], weak, steps)
  custody.directory.list(rows)
  return { rows, weak, did: rows[0]!.did, head: rows.at(-1)! }
}

async function entriesOf(did: string): Promise<unknown[]> {
  const { rows } = await custody.pool.query<{ body: Buffer }>(
    `select body from audit_outbox where subject = $1 and kind = 'did.enrolled'`,
    [did],
  )
  return rows.map(({ body }) => decode(body))
}

describe('taken into care', () => {
  test('a verified log is kept whole, with an entry that names its head', async () => {
    const { did, rows, head } = await listed([{ by: strong, hours: 1 }])

    expect(await custody.enroll(did)).toEqual({ kind: 'enrolled', did, head: head.cid })
    expect(await entriesOf(did)).toMatchObject([{ did, caller: 'pds', head: head.cid }])
    const kept = await custody.pool.query('select cid, nullified from operations where did = $1', [
      did,
    ])
    expect(kept.rows).toEqual(rows.map(({ cid }) => ({ cid, nullified: false })))
  })

  test('its operations are signed from then on, and were not before', async () => {
    const { did, head } = await listed([{ by: strong, hours: 1 }])
    const next = renamed(head, 'enrolled')
    const before = await custody.sign(next)
    await custody.enroll(did)

    expect(before).toMatchObject({ kind: 'denied', rule: 'PREV-KNOWN' })
    expect(await custody.sign(next)).toMatchObject({ kind: 'signed' })
  })

  test('a legacy genesis', async () => {
    const user = await keyNamed('enroll-legacy')
    const legacy = {
      type: 'create' as const,
      signingKey: custody.key.did,
      recoveryKey: user.did(),
      handle: 'legacy.example.com',
      service: 'https://pds.example.com',
      prev: null,
    }
    const operation = await signLegacy(legacy, user)
    const did = didOfGenesis(operation)
    const genesis = rowOf(did, operation, 0)
    custody.directory.list([genesis])
    const next = { ...genesisOf('legacy', [user.did(), custody.key.did]), prev: genesis.cid }

    expect(await custody.enroll(did)).toMatchObject({ kind: 'enrolled' })
    expect(await custody.sign(next)).toMatchObject({ kind: 'signed' })
  })

  test('an account of ours is in care already, by its genesis', async () => {
    const account = await custody.account('by-genesis')

    expect(await custody.enroll(account.did)).toMatchObject({ kind: 'refreshed' })
    expect(await entriesOf(account.did)).toEqual([])
  })

  test('twenty times at once: once enrolled, with one entry', async () => {
    const { did } = await listed()
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => custody.enroll(did)))

    expect(outcomes.filter(({ kind }) => kind === 'enrolled')).toHaveLength(1)
    expect(outcomes.filter(({ kind }) => kind === 'refreshed')).toHaveLength(19)
    expect(await entriesOf(did)).toHaveLength(1)
  })

  test('by two callers at once: one has it, the other is refused', async () => {
    const { did } = await listed()
    const outcomes = await Promise.all([custody.enroll(did, 'pds'), custody.enroll(did, 'other')])

    expect(outcomes.map(({ kind }) => kind).toSorted()).toEqual(['enrolled', 'refused'])
    expect(await entriesOf(did)).toHaveLength(1)
  })
})

describe('refreshed', () => {
  test('operations of others are known then', async () => {
    const { did, rows } = await listed()
    await custody.enroll(did)
    const longer = await extendLog(rows, [{ by: strong, hours: 2 }])
    custody.directory.list(longer)
    const next = renamed(longer.at(-1)!, 'refreshed')
    const before = await custody.sign(next)
    const outcome = await custody.enroll(did)

    expect(before).toMatchObject({ rule: 'PREV-KNOWN' })
    expect(outcome).toEqual({ kind: 'refreshed', did, head: longer.at(-1)!.cid })
    expect(await custody.sign(next)).toMatchObject({ kind: 'signed' })
  })

  test('what a stronger key nullified is no prev any more', async () => {
    const { did, rows, weak } = await listed()
    const weakly = await extendLog(rows, [{ by: weak, hours: 1 }])
    custody.directory.list(weakly)
    await custody.enroll(did)
    const forked = await extendLog(weakly, [{ by: strong, hours: 2, after: 0, nullifies: [1] }])
    custody.directory.list(forked)

    expect(await custody.enroll(did)).toMatchObject({ kind: 'refreshed', head: forked[2]!.cid })
    expect(await custody.sign(renamed(weakly[1]!, 'nullified'))).toMatchObject({
      kind: 'denied',
      rule: 'PREV-IS-HEAD',
    })
    expect(await custody.sign(renamed(forked[2]!, 'not-nullified'))).toMatchObject({
      kind: 'signed',
    })
  })

  test('an operation that we signed keeps its request and the time of its record', async () => {
    const account = await custody.account('keeps')
    const before = await custody.pool.query('select * from operations where did = $1', [
      account.did,
    ])
    await custody.enroll(account.did)
    const after = await custody.pool.query('select * from operations where did = $1', [account.did])

    expect(after.rows).toEqual(before.rows)
  })
})

describe('refused', () => {
  const nothingKept = async (did: string) => {
    const { rowCount } = await custody.pool.query('select 1 from operations where did = $1', [did])
    expect(rowCount).toBe(0)
    expect(await entriesOf(did)).toEqual([])
  }

  test('a tombstone', async () => {
    const { did } = await listed([{ by: strong, hours: 1, tombstone: true }])

    expect(await custody.enroll(did)).toMatchObject({ kind: 'refused' })
    await nothingKept(did)
  })

  test('an account that lists none of our keys, at its head or ever', async () => {
    const rows = await buildLog([strong], strong, [])
    custody.directory.list(rows)

    expect(await custody.enroll(rows[0]!.did)).toMatchObject({ kind: 'refused' })
    await nothingKept(rows[0]!.did)
  })

  test('an account whose head dropped our key', async () => {
    const { did } = await listed([{ by: strong, hours: 1, rotationKeys: [strong] }])

    expect(await custody.enroll(did)).toMatchObject({ kind: 'refused' })
    await nothingKept(did)
  })

  test('an account of another caller', async () => {
    const { did, head } = await listed()
    await custody.enroll(did, 'other')

    expect(await custody.enroll(did, 'pds')).toMatchObject({ kind: 'refused' })
    expect(await custody.sign(renamed(head, 'not-mine'))).toMatchObject({ rule: 'PREV-KNOWN' })
  })

  test('a caller that policies do not name', async () => {
    const { did } = await listed()

    expect(await custody.enroll(did, 'nobody')).toMatchObject({ kind: 'refused' })
    await nothingKept(did)
  })

  const tampered: Record<string, (rows: Row[]) => unknown[]> = {
    'a signature by another key': (rows) => [
      rows[0]!,
      { ...rows[1]!, operation: { ...rows[1]!.operation, sig: rows[0]!.operation.sig } },
    ],
    'another CID': (rows) => [rows[0]!, { ...rows[1]!, cid: rows[0]!.cid }],
    'the genesis left out': (rows) => rows.slice(1),
    'an order of its own': (rows) => rows.toReversed(),
    'nullified what is not': (rows) => [rows[0]!, { ...rows[1]!, nullified: true }],
    'nothing at all': () => [],
  }
  test.each(Object.entries(tampered))('a log with %s', async (_name, tamper) => {
    const { did, rows } = await listed([{ by: strong, hours: 1 }])
    const directory = { ...custody.directory, getLog: async () => tamper(rows) }
    const enrolling = enroll(did, 'pds', { ...custody.deps, directory })

    await expect(enrolling).rejects.toMatchObject({ name: 'DirectoryError', code: 'malformed' })
    await nothingKept(did)
  })
})
