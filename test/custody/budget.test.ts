import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { buildLog, keyNamed } from '../plc/build-log.ts'
import { openCustody } from '../support/custody.ts'
import type { Custody } from '../support/custody.ts'
import { ageOperation, insertOperation } from '../support/moving-time.ts'
import { renamed, signBy, tombstoneOf } from '../support/operations.ts'
import { suspendableSigner } from '../support/signers.ts'
import type { Signed } from '../support/operations.ts'

// DID-BUDGET: 8 operations an hour, 25 a day, 90 a week, the genesis counted.

const HOUR = 3600
const DAY = 24 * HOUR

let custody: Custody

beforeAll(async () => {
  custody = await openCustody()
})
beforeEach(() => {
  custody.bench.uses = 0
  custody.bench.fault = null
})
afterEach(async () => await custody.check({ movedTime: true }))
afterAll(async () => await custody.close())

/** So many operations besides the genesis, each recorded so long ago. */
async function spent(account: Signed, count: number, secondsAgo: number): Promise<void> {
  const by = await keyNamed('spender')
  for (let n = 0; n < count; n += 1) {
    const operation = renamed(account, `spent-${secondsAgo}-${n}`)
    await insertOperation(custody.pool, await signBy(by, operation, account.did), secondsAgo)
  }
}

const next = (account: Signed) => custody.sign(renamed(account, 'next'))

describe.each([
  { window: 'hour', most: 8, seconds: HOUR },
  { window: 'day', most: 25, seconds: DAY },
  { window: 'week', most: 90, seconds: 7 * DAY },
])('$most operations in a $window', ({ window, most, seconds }) => {
  const barely = seconds - 60

  test('the last of them is signed, the genesis counted', async () => {
    const account = await custody.account(`${window}-last`)
    await ageOperation(custody, account.cid, barely)
    await spent(account, most - 2, barely)

    expect(await next(account)).toMatchObject({ kind: 'signed' })
  })

  test('one more is denied', async () => {
    const account = await custody.account(`${window}-more`)
    await ageOperation(custody, account.cid, barely)
    await spent(account, most - 1, barely)
    const denied = await next(account)

    expect(denied).toMatchObject({ kind: 'denied', rule: 'DID-BUDGET' })
    expect((denied as { message: string }).message).toContain(`within a ${window}`)
    expect(custody.bench.uses).toBe(1)
  })

  test('one more is signed when the genesis is older than that', async () => {
    const account = await custody.account(`${window}-older`)
    await ageOperation(custody, account.cid, seconds + 1)
    await spent(account, most - 2, barely)

    expect(await next(account)).toMatchObject({ kind: 'signed' })
  })
})

test('eight operations, one after the other: the ninth is denied, a tombstone of it too', async () => {
  let head = await custody.account('chain')
  for (let n = 2; n <= 8; n += 1) head = await custody.signed(renamed(head, `chain-${n}`))

  expect(await next(head)).toMatchObject({ kind: 'denied', rule: 'DID-BUDGET' })
  const genesis = await custody.account('chain-tombstone')
  await spent(genesis, 7, 10)
  expect(await custody.sign(tombstoneOf(genesis))).toMatchObject({ rule: 'DID-BUDGET' })
})

test('what was signed within the budget is handed out again beyond it', async () => {
  const account = await custody.account('again')
  const first = await next(account)
  await spent(account, 7, 10)

  expect(await next(account)).toEqual(first)
  expect(first.kind).toBe('signed')
})

test('another identity has its own budget', async () => {
  const account = await custody.account('full')
  const other = await custody.account('empty')
  await spent(account, 8, 10)

  expect(await next(account)).toMatchObject({ rule: 'DID-BUDGET' })
  expect(await next(other)).toMatchObject({ kind: 'signed' })
})

test('operations on many prevs at once share one budget', async () => {
  const user = await keyNamed('budget-user')
  const steps = Array.from({ length: 14 }, (_, hours) => ({ by: user, hours: hours + 1 }))
  const rows = await buildLog([user, { did: () => custody.key.did }], user, steps)
  custody.directory.list(rows)
  await custody.enroll(rows[0]!.did)
  const fault = suspendableSigner()
  custody.bench.fault = fault
  let answered = 0
  const calls = rows.map(async (row, n) => {
    const result = await custody.sign(renamed(row, `many-${n}`))
    answered += 1
    return result
  })
  await expect.poll(() => fault.waiting.length + answered).toBe(rows.length)
  fault.waiting.forEach((wake) => wake())
  const results = await Promise.all(calls)

  const kinds = results.map((result) => (result.kind === 'denied' ? result.rule : result.kind))
  expect(kinds.toSorted()).toEqual([
    ...Array.from({ length: 7 }, () => 'DID-BUDGET'),
    ...Array.from({ length: 8 }, () => 'signed'),
  ])
})
