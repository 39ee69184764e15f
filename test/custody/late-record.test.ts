import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { idOf, openCustody } from '../support/custody.ts'
import type { Custody } from '../support/custody.ts'
import { endLeases } from '../support/moving-time.ts'
import { renamed } from '../support/operations.ts'
import type { Signed } from '../support/operations.ts'
import { suspendableSigner } from '../support/signers.ts'

// A process is suspended with the key in its hand, and wakes up when its lease has ended.

let custody: Custody

beforeAll(async () => {
  custody = await openCustody()
  await custody.outside.query(`
    create function wait_for_the_test() returns trigger language plpgsql as $$
    begin
      perform pg_advisory_xact_lock_shared(${HOLD});
      return new;
    end $$;
    create trigger wait_for_the_test before insert on operations
      for each row execute function wait_for_the_test()`)
})
beforeEach(() => {
  custody.bench.fault = null
  custody.bench.uses = 0
})
afterEach(async () => await custody.check())
afterAll(async () => await custody.close())

/** A call that holds its claim and has not used the key yet. */
async function suspendedCall(account: Signed, name: string) {
  const fault = suspendableSigner()
  custody.bench.fault = fault
  const call = custody.sign(renamed(account, name))
  await expect.poll(() => fault.waiting.length).toBe(1)
  custody.bench.fault = null
  return { call, wake: () => fault.waiting[0]?.() }
}

const HOLD = 4711

/**
 * Records stop in the middle of their work, their row changed and not committed, until they are let
 * go: a trigger of this test's database waits for a lock that the test holds.
 */
async function holdRecords() {
  const holder = await custody.pool.connect()
  await holder.query('select pg_advisory_lock($1)', [HOLD])
  return {
    reached: async () =>
      await expect
        .poll(async () => {
          const { rowCount } = await holder.query(
            `select 1 from pg_locks where locktype = 'advisory' and not granted and objid = $1`,
            [HOLD],
          )
          return rowCount
        })
        .toBe(1),
    letGo: async () => {
      await holder.query('select pg_advisory_unlock($1)', [HOLD])
      holder.release()
    },
  }
}

async function producedFor(did: string): Promise<number> {
  const { rows } = await custody.pool.query(
    `select 1 from audit_outbox join requests on requests.id::text = subject
     where kind = 'signature.produced' and did = $1 and prev is not null`,
    [did],
  )
  return rows.length
}

test('nobody took over: its signature is not recorded all the same; the same bytes finish it', async () => {
  const account = await custody.account('alone')
  const { call, wake } = await suspendedCall(account, 'alone-1')
  await endLeases(custody.pool)
  wake()
  const late = await call

  expect(late).toMatchObject({ kind: 'busy' })
  expect(await producedFor(account.did)).toBe(0)
  expect(await custody.sign(renamed(account, 'alone-1'))).toMatchObject({
    kind: 'signed',
    requestId: idOf(late),
  })
})

test('the same bytes took over: one signature on record, and only that one is released', async () => {
  const account = await custody.account('same')
  const { call, wake } = await suspendedCall(account, 'same-1')
  await endLeases(custody.pool)
  const taken = await custody.sign(renamed(account, 'same-1'))
  wake()

  expect(taken).toMatchObject({ kind: 'signed' })
  expect(await call).toMatchObject({ kind: 'busy', requestId: idOf(taken) })
  expect(await producedFor(account.did)).toBe(1)
})

test('other bytes took over: the late signature is on no record and is not released', async () => {
  const account = await custody.account('other')
  const { call, wake } = await suspendedCall(account, 'other-1')
  await endLeases(custody.pool)
  const taken = await custody.sign(renamed(account, 'other-2'))
  wake()

  expect(taken).toMatchObject({ kind: 'signed' })
  expect(await call).toMatchObject({ kind: 'busy' })
  expect(await producedFor(account.did)).toBe(1)
})

describe('its record is in time, and commits when the lease has ended and another takes over', () => {
  async function raceAgainst(names: [first: string, second: string]) {
    const account = await custody.account(names[0])
    const { call, wake } = await suspendedCall(account, names[0])
    await custody.pool.query(
      `update requests set lease_until = clock_timestamp() + interval '400 milliseconds'
       where did = $1 and state = 'signing'`,
      [account.did],
    )
    const records = await holdRecords()
    wake()
    await records.reached()
    await sleep(500)
    const taking = custody.sign(renamed(account, names[1]))
    await sleep(200)
    await records.letGo()
    return { did: account.did, first: await call, second: await taking }
  }

  test('other bytes: they see the signature, and are denied', async () => {
    const { did, first, second } = await raceAgainst(['in-time-1', 'in-time-2'])

    expect(first).toMatchObject({ kind: 'signed' })
    expect(second).toMatchObject({ kind: 'denied', rule: 'PREV-ONE-LIVE-SIGNATURE' })
    expect(await producedFor(did)).toBe(1)
  })

  test('the same bytes: they get the same signature', async () => {
    const { did, first, second } = await raceAgainst(['in-time-3', 'in-time-3'])

    expect(first).toMatchObject({ kind: 'signed' })
    expect(second).toEqual(first)
    expect(await producedFor(did)).toBe(1)
  })
})
