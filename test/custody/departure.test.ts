import { afterEach, beforeEach, expect, test } from 'vitest'
import { keyNamed } from '../plc/build-log.ts'
import { idOf, openCustody } from '../support/custody.ts'
import type { Custody } from '../support/custody.ts'
import { departureOf, genesisOf, updateOf } from '../support/operations.ts'
import type { Signed } from '../support/operations.ts'
import { failingSigner } from '../support/signers.ts'

// Users must be able to leave: by policy, 20 a day for all identities together.

const theirs = (await keyNamed('their-new-pds')).did()
const recovery = (await keyNamed('recovery')).did()

let custody: Custody

beforeEach(async () => {
  custody = await openCustody()
})
afterEach(async () => {
  await custody.check()
  await custody.close()
})

const accounts = (count: number) =>
  Promise.all(Array.from({ length: count }, (_, n) => custody.account(`leaver-${n}`)))
const leave = (account: Signed, caller = 'pds') =>
  custody.sign(departureOf(account, [theirs]), { caller })

const alarms = () =>
  custody.events.flatMap((event) => (event.kind === 'limit-alarm' ? [event.limit.used] : []))

test('20 leave, with an alarm from the 10th on; the 21st is denied by the rule’s id', async () => {
  const all = await accounts(21)
  for (const account of all.slice(0, 20)) {
    expect(await leave(account)).toMatchObject({ kind: 'signed' })
  }
  const last = await leave(all[20]!)

  expect(alarms()).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20])
  expect(last).toMatchObject({ kind: 'denied', rule: 'DEPARTURE' })
  expect((last as { message: string }).message).toContain('20')
  expect(await classOf(idOf(last))).toBe('departure')
})

test('of 30 that leave at once, 20 are signed and 10 denied', async () => {
  const all = await accounts(30)
  custody.bench.uses = 0
  const results = await Promise.all(all.map(async (account) => await leave(account)))
  const denied = results.filter((result) => result.kind === 'denied')

  expect(results.filter(({ kind }) => kind === 'signed')).toHaveLength(20)
  expect(denied.map(({ rule }) => rule)).toEqual(Array.from({ length: 10 }, () => 'DEPARTURE'))
  expect(custody.bench.uses).toBe(20)
  expect(alarms().toSorted((a, b) => a - b)).toEqual(
    Array.from({ length: 11 }, (_, index) => index + 10),
  )
})

test('a day later they may leave again', async () => {
  const all = await accounts(21)
  for (const account of all.slice(0, 20)) await leave(account)
  await custody.pool.query(
    `update requests set intended_at = intended_at - interval '1 day 1 second',
       produced_at = produced_at - interval '1 day 1 second'`,
  )
  custody.restart()

  expect(await leave(all[20]!)).toMatchObject({ kind: 'signed' })
  expect(alarms().at(-1)).toBe(20)
})

test('retries, failures, denials and other operations take nothing from the limit', async () => {
  const all = await accounts(23)
  const first = await leave(all[0]!)
  for (let time = 0; time < 5; time += 1) expect(await leave(all[0]!)).toEqual(first)
  custody.bench.fault = failingSigner('key-unusable')
  for (const account of all.slice(1, 10)) await expect(leave(account)).rejects.toThrow('fails')
  custody.bench.fault = failingSigner('unavailable')
  for (const account of all.slice(1, 10)) {
    expect(await leave(account)).toMatchObject({ kind: 'busy' })
  }
  custody.bench.fault = null
  await leave(all[22]!, 'other')
  for (const account of all.slice(1, 20)) {
    expect(await leave(account)).toMatchObject({ kind: 'signed' })
  }

  expect(await leave(all[20]!)).toMatchObject({ kind: 'denied', rule: 'DEPARTURE' })
})

test('all callers share the limit', async () => {
  const all = await accounts(10)
  const others = await Promise.all(
    Array.from({ length: 11 }, (_, n) => custody.account(`other-${n}`, { caller: 'other' })),
  )
  for (const account of all) await leave(account)
  for (const account of others.slice(0, 10)) await leave(account, 'other')

  expect(await leave(others[10]!, 'other')).toMatchObject({ kind: 'denied', rule: 'DEPARTURE' })
})

test('when the limit is reached, everything else is signed as before', async () => {
  const all = await accounts(22)
  for (const account of all.slice(0, 20)) await leave(account)
  const renamed = updateOf(all[21]!, { alsoKnownAs: ['at://stays.example.com'] })

  expect(await leave(all[20]!)).toMatchObject({ kind: 'denied' })
  expect(await custody.sign(renamed)).toMatchObject({ kind: 'signed' })
})

test('a departure takes every key of ours along, the recovery key too', async () => {
  await custody.close()
  custody = await openCustody({ recovery })
  const account = await custody.signed(genesisOf('leaver', [recovery, custody.key.did]))
  const keepsOne = await custody.sign(departureOf(account, [recovery, theirs]))
  const leaves = await custody.sign(departureOf(account, [theirs]))

  expect(keepsOne).toMatchObject({ kind: 'denied', rule: 'PLC-ROTATION-KEEP-OURS' })
  expect(leaves).toMatchObject({ kind: 'signed' })
  expect(await classOf(idOf(leaves))).toBe('departure')
})

async function classOf(id: string): Promise<string | undefined> {
  const { rows } = await custody.pool.query<{ operation_class: string }>(
    'select operation_class from requests where id = $1',
    [id],
  )
  return rows[0]?.operation_class
}
