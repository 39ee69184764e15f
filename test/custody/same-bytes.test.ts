import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createHash } from 'node:crypto'
import { signingBytes } from '../../src/plc/encode.ts'
import { keyNamed } from '../plc/build-log.ts'
import { idOf, openCustody } from '../support/custody.ts'
import type { Custody } from '../support/custody.ts'
import { endLeases, insertOperation } from '../support/moving-time.ts'
import { genesisOf, renamed, signBy, updateOf } from '../support/operations.ts'
import { failingSigner, suspendableSigner } from '../support/signers.ts'

// The table of architecture section 6: what is found for the same caller, key and bytes.

let custody: Custody

beforeAll(async () => {
  custody = await openCustody()
})
beforeEach(() => {
  custody.bench.fault = null
  custody.bench.uses = 0
})
afterEach(async () => await custody.check())
afterAll(async () => await custody.close())

async function setNullified(cid: string, nullified: boolean): Promise<void> {
  await custody.outside.query('update operations set nullified = $2 where cid = $1', [
    cid,
    nullified,
  ])
}

async function rows(): Promise<number> {
  const { rows } = await custody.pool.query<{ n: number }>('select count(*)::int n from requests')
  return rows[0]?.n ?? 0
}

test('nothing found: the operation is signed, with both curves', async () => {
  const k256 = await custody.signed(genesisOf('k256', [custody.key.did]))
  const p256 = await custody.signed(genesisOf('p256', [custody.p256.did]), { key: custody.p256 })

  expect(k256.did).toMatch(/^did:plc:[a-z2-7]{24}$/)
  expect(p256.did).not.toBe(k256.did)
  expect(custody.bench.uses).toBe(2)
})

test('returned: the same signature again, and the key is not used again', async () => {
  const genesis = genesisOf('again', [custody.key.did])
  const first = await custody.sign(genesis)
  const before = await rows()
  const again = [await custody.sign(genesis), await custody.sign(genesis)]

  expect(first.kind).toBe('signed')
  expect(again).toEqual([first, first])
  expect(custody.bench.uses).toBe(1)
  expect(await rows()).toBe(before)
})

test('returned: the same signature even when everything that allowed it is gone', async () => {
  const account = await custody.account('long-ago')
  const operation = renamed(account, 'later')
  const first = await custody.sign(operation)
  await setNullified(account.cid, true)

  expect(await custody.sign(operation)).toEqual(first)
  expect(custody.bench.uses).toBe(2)
})

test('thirty calls with the same bytes at once: one signature, one row, one key use', async () => {
  const genesis = genesisOf('crowd', [custody.key.did])
  const before = await rows()
  const results = await Promise.all(Array.from({ length: 30 }, () => custody.sign(genesis)))
  const settled = await custody.sign(genesis)

  const kinds = new Set(results.map(({ kind }) => kind))
  expect([...kinds].filter((kind) => kind !== 'signed' && kind !== 'busy')).toEqual([])
  expect(results.filter(({ kind }) => kind === 'signed')).toContainEqual(settled)
  expect(new Set(results.map((result) => 'requestId' in result && result.requestId)).size).toBe(1)
  expect(custody.bench.uses).toBe(1)
  expect(await rows()).toBe(before + 1)
})

test('signing, held by a live call: busy with its id, and no second row', async () => {
  const fault = suspendableSigner()
  custody.bench.fault = fault
  const genesis = genesisOf('live', [custody.key.did])
  const first = custody.sign(genesis)
  await expect.poll(() => fault.waiting.length).toBe(1)
  const before = await rows()

  const second = await custody.sign(genesis)
  fault.waiting[0]?.()

  expect(second).toMatchObject({ kind: 'busy', requestId: expect.any(String) })
  expect(await first).toMatchObject({
    kind: 'signed',
    requestId: idOf(second),
  })
  expect(await rows()).toBe(before)
  expect(custody.bench.uses).toBe(1)
})

test('failed: the same bytes sign at once, as a request of their own', async () => {
  const genesis = genesisOf('failed', [custody.key.did])
  custody.bench.fault = failingSigner('key-unusable')
  await expect(custody.sign(genesis)).rejects.toThrow("the test's signer fails")
  custody.bench.fault = null
  const before = await rows()

  expect(await custody.sign(genesis)).toMatchObject({ kind: 'signed' })
  expect(await rows()).toBe(before + 1)
})

describe('denied', () => {
  test('the same denial again writes no second row', async () => {
    const account = await custody.account('denied')
    const operation = updateOf(account, { rotationKeys: [] })
    const first = await custody.sign(operation)
    const before = await rows()

    expect(first).toMatchObject({ kind: 'denied', rule: 'PLC-ROTATION-KEYS-EMPTY' })
    expect(await custody.sign(operation)).toEqual(first)
    expect(await rows()).toBe(before)
    expect(custody.bench.uses).toBe(1)
  })

  test('a denial for another reason is a row of its own', async () => {
    const account = await custody.account('denied-twice')
    const operation = renamed(account, 'denied-twice-now')
    await setNullified(account.cid, true)
    const first = await custody.sign(operation)
    await setNullified(account.cid, false)
    for (let n = 0; n < 7; n += 1) {
      const by = await keyNamed(`denied-${n}`)
      await insertOperation(custody.pool, await signBy(by, operation, account.did), 10)
    }
    const second = await custody.sign(operation)

    expect(first).toMatchObject({ kind: 'denied', rule: 'PREV-IS-HEAD' })
    expect(second).toMatchObject({ kind: 'denied', rule: 'DID-BUDGET' })
    expect(idOf(second)).not.toBe(idOf(first))
  })

  test('what was denied is signed once nothing denies it any more', async () => {
    const account = await custody.account('denied-before')
    const operation = renamed(account, 'denied-then-allowed')
    await custody.outside.query('update operations set nullified = true where cid = $1', [
      account.cid,
    ])
    const first = await custody.sign(operation)
    await custody.outside.query('update operations set nullified = false where cid = $1', [
      account.cid,
    ])

    expect(first).toMatchObject({ kind: 'denied', rule: 'PREV-IS-HEAD' })
    expect(await custody.sign(operation)).toMatchObject({ kind: 'signed' })
  })
})

test('a message that is not one canonical unsigned operation is malformed, and no request', async () => {
  const message = signingBytes(genesisOf('malformed', [custody.key.did]))
  const before = await rows()
  const answers = [
    await custody.ask(message.subarray(1)),
    await custody.ask(Buffer.concat([message, Buffer.of(0)])),
    await custody.ask(createHash('sha256').update(message).digest()),
  ]

  expect(answers.map(({ kind }) => kind)).toEqual(['malformed', 'malformed', 'malformed'])
  expect(await rows()).toBe(before)
  expect(custody.bench.uses).toBe(0)
})

test('a claim that died is finished by the same bytes, as the same request, with a second intent', async () => {
  const fault = suspendableSigner()
  custody.bench.fault = fault
  const genesis = genesisOf('died', [custody.key.did])
  const dead = custody.sign(genesis)
  await expect.poll(() => fault.waiting.length).toBe(1)
  custody.bench.fault = null
  const busy = await custody.sign(genesis)
  await endLeases(custody.pool)
  const finished = await custody.sign(genesis)
  const requestId = idOf(finished)
  fault.waiting[0]?.()

  expect(busy).toMatchObject({ kind: 'busy', requestId })
  expect(finished).toMatchObject({ kind: 'signed' })
  expect(await dead).toMatchObject({ kind: 'busy', requestId })
  const { rows: intents } = await custody.pool.query(
    `select id from audit_outbox where subject = $1 and kind = 'signature.intended'`,
    [requestId],
  )
  expect(intents).toHaveLength(2)
})
