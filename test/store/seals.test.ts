import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createRequestStore } from '../../src/store/request-store.ts'
import { createSealer } from '../../src/sealing/sealer.ts'
import { findKeptRequest, listRequests, readRequest } from '../../src/store/request-views.ts'
import { idOf, openCustody } from '../support/custody.ts'
import type { Custody } from '../support/custody.ts'
import { genesisOf, renamed, tombstoneOf } from '../support/operations.ts'
import type { Signed } from '../support/operations.ts'

// Rows that give rights are sealed: whoever can write in the database has not the secret.

let custody: Custody
let account: Signed
let foreign: Signed
let serial = 0

beforeAll(async () => {
  custody = await openCustody()
})
beforeEach(async () => {
  account = await custody.account(`sealed-${(serial += 1)}`)
  foreign = await custody.account(`sealed-${(serial += 1)}`, { caller: 'other' })
  custody.bench.uses = 0
})
afterAll(async () => await custody.close())

const write = async (text: string, values: unknown[]) => await custody.outside.query(text, values)
const tampered = (name: string) => ({
  code: 'row-tampered',
  message: expect.stringContaining(name),
  uses: 0,
})

/** How a call failed, and how often a key was used. */
async function failureOf(call: Promise<unknown>): Promise<object> {
  const [settled] = await Promise.allSettled([call])
  if (settled.status === 'fulfilled') throw new Error('it was answered')
  const { code, message } = settled.reason as { code: string; message: string }
  return { code, message, uses: custody.bench.uses }
}

describe('an identity', () => {
  test('that was given to another caller is nobody’s', async () => {
    await write(`update identities set caller = 'other' where did = $1`, [account.did])
    const taken = renamed(account, 'taken')
    expect(await failureOf(custody.sign(taken, { caller: 'other' }))).toEqual(tampered(account.did))
    expect(await failureOf(custody.sign(taken))).toEqual(tampered(account.did))
  })

  test('has no seal of another one', async () => {
    await write(
      `update identities mine set caller = 'other', seal = theirs.seal from identities theirs
       where mine.did = $1 and theirs.did = $2`,
      [account.did, foreign.did],
    )
    expect(await failureOf(custody.sign(renamed(account, 'taken'), { caller: 'other' }))).toEqual(
      tampered(account.did),
    )
  })

  test('that somebody wrote is not sealed by taking its log into care', async () => {
    await write(`update identities set caller = 'other' where did = $1`, [account.did])
    expect(await failureOf(custody.enroll(account.did, 'other'))).toEqual(tampered(account.did))
    expect(await failureOf(custody.enroll(account.did, 'pds'))).toEqual(tampered(account.did))
  })

  test('whose row is gone comes back by its verified log, and by that only', async () => {
    await write('delete from identities where did = $1', [account.did])
    expect(await custody.sign(renamed(account, 'gone'))).toMatchObject({ rule: 'PREV-KNOWN' })
    await custody.enroll(account.did)
    expect(await custody.sign(renamed(account, 'back'))).toMatchObject({ kind: 'signed' })
  })
})

describe('an operation', () => {
  const changes: Record<string, string> = {
    'is of another identity': `did = (select did from operations o where o.cid = $2)`,
    'was recorded just now': `recorded_at = clock_timestamp() + interval '1 second'`,
    'was signed elsewhere': 'request_id = null',
    'was signed by another request': `request_id = (select request_id from operations o where o.cid = $2)`,
    'has the seal of another': `seal = (select seal from operations o where o.cid = $2)`,
    'has no seal': `seal = ''`,
  }
  test.each(Object.entries(changes))('of which a row says that it %s', async (_name, change) => {
    // Both are used, so that each statement has the same parameters.
    await write(`update operations set ${change} where cid = $1 and $2::text is not null`, [
      account.cid,
      foreign.cid,
    ])
    expect(await failureOf(custody.sign(renamed(account, 'changed')))).toEqual(
      tampered(account.cid),
    )
    expect(await failureOf(custody.sign(tombstoneOf(account)))).toEqual(tampered(account.cid))
  })
})

describe('a request', () => {
  test('is signed for the caller who asked, and for no other', async () => {
    const operation = genesisOf(`sealed-${(serial += 1)}`, [custody.key.did])
    const id = idOf(await custody.sign(operation))
    custody.bench.uses = 0
    await write(`update requests set caller = 'other' where id = $1`, [id])
    expect(await failureOf(custody.sign(operation, { caller: 'other' }))).toEqual(tampered(id))
    const view = { caller: 'other', id }
    expect(await failureOf(readRequest(custody.db, custody.sealer, view))).toEqual(tampered(id))
    const page = { caller: 'other', state: null, after: null, limit: 10 }
    expect(await failureOf(listRequests(custody.db, custody.sealer, page))).toEqual(tampered(id))
    await write('delete from requests where id = $1', [id])
  })

  test('is signed over the bytes that were asked for, however its row was changed', async () => {
    const id = idOf(await custody.sign(renamed(account, 'asked-for')))
    const other = idOf(await custody.sign(renamed(foreign, 'not-asked-for'), { caller: 'other' }))
    custody.bench.uses = 0
    await write(
      `update requests set unsigned = o.unsigned from requests o where requests.id = $1 and o.id = $2`,
      [id, other],
    )
    const asked = { caller: 'pds', requestId: id }
    expect(await failureOf(findKeptRequest(custody.db, custody.sealer, asked))).toEqual(
      tampered(id),
    )
    await write(
      `update requests set digest = o.digest from requests o where requests.id = $1 and o.id = $2`,
      [id, other],
    )
    expect(await failureOf(findKeptRequest(custody.db, custody.sealer, asked))).toEqual(
      tampered(id),
    )
    await write('delete from requests where id = $1', [id])
  })

  test('gives no signature again that is not one of its bytes', async () => {
    const operation = renamed(account, 'signed-before')
    const id = idOf(await custody.sign(operation))
    custody.bench.uses = 0
    const { rows } = await custody.outside.query<{ signature: Buffer }>(
      'select signature from requests where id = $1',
      [id],
    )
    const flipped = Buffer.from(rows[0]!.signature)
    flipped[40]! ^= 1
    for (const signature of [flipped, flipped.subarray(1), Buffer.alloc(64)]) {
      await write('update requests set signature = $2 where id = $1', [id, signature])
      await expect(custody.sign(operation)).rejects.toMatchObject({
        name: 'TamperedError',
        message: expect.stringContaining(id),
      })
    }
    expect(custody.bench.uses).toBe(0)
    expect(custody.events.at(-1)).toMatchObject({ kind: 'row-tampered' })
    await write('update requests set signature = $2 where id = $1', [id, rows[0]!.signature])
    expect(await custody.sign(operation)).toMatchObject({ kind: 'signed', requestId: id })
  })

  test('whose row is not as it was takes no other call along', async () => {
    const id = idOf(await custody.sign(renamed(account, 'alone')))
    await write(`update requests set key_id = 'pds', created_at = now() where id = $1`, [id])
    const answers = await Promise.allSettled([
      custody.sign(renamed(account, 'alone')),
      custody.sign(renamed(foreign, 'beside'), { caller: 'other' }),
    ])
    expect(answers.map(({ status }) => status)).toEqual(['rejected', 'fulfilled'])
  })
})

test('under another secret nothing of it is believed', async () => {
  const store = createRequestStore(custody.db, createSealer(new Uint8Array(32)))
  expect(await failureOf(store.findOperation(account.cid))).toEqual(tampered(account.cid))
})
