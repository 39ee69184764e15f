import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { idOf, openCustody } from '../support/custody.ts'
import type { Custody } from '../support/custody.ts'
import { directoryThat } from '../support/fake-directory.ts'
import { ageSignature, endLeases } from '../support/moving-time.ts'
import { genesisOf, renamed, tombstoneOf } from '../support/operations.ts'
import { suspendableSigner } from '../support/signers.ts'

// PREV-ONE-LIVE-SIGNATURE: other bytes on a prev that has a live signature.

let custody: Custody

beforeAll(async () => {
  custody = await openCustody()
})
beforeEach(() => {
  custody.bench.fault = null
  custody.bench.uses = 0
  custody.directory.onRead = () => {}
  custody.directory.reads.length = 0
})
afterEach(async () => await custody.check())
afterAll(async () => await custody.close())

/** An account with a signed operation on its genesis that never reached the directory. */
async function accountWithSigned(name: string) {
  const account = await custody.account(name)
  const first = renamed(account, `${name}-first`)
  const other = renamed(account, `${name}-other`)
  const firstId = idOf(await custody.sign(first))
  custody.bench.uses = 0
  custody.directory.reads.length = 0
  return { account, first, firstId, other }
}

/** The same, 61 seconds later. */
async function accountWithOldSigned(name: string) {
  const all = await accountWithSigned(name)
  await ageSignature(custody, all.firstId, 61)
  return all
}

async function rowOf(id: string): Promise<Record<string, unknown>> {
  const { rows } = await custody.pool.query('select * from requests where id = $1', [id])
  return rows[0] as Record<string, unknown>
}

describe('while the first has its time', () => {
  test('other bytes on a prev that is being signed for are denied, naming the first', async () => {
    const account = await custody.account('being-signed')
    const fault = suspendableSigner()
    custody.bench.fault = fault
    const first = custody.sign(renamed(account, 'being-signed-1'))
    await expect.poll(() => fault.waiting.length).toBe(1)
    const rival = await custody.sign(renamed(account, 'being-signed-2'))
    fault.waiting[0]?.()

    expect(rival).toMatchObject({ kind: 'denied', rule: 'PREV-ONE-LIVE-SIGNATURE' })
    expect((rival as { message: string }).message).toContain(idOf(await first))
    expect(custody.bench.uses).toBe(2)
  })

  test('other bytes on a prev that was just signed for are denied, naming the first', async () => {
    const { other, firstId } = await accountWithSigned('just-signed')
    const rival = await custody.sign(other)

    expect(rival).toMatchObject({ kind: 'denied', rule: 'PREV-ONE-LIVE-SIGNATURE' })
    expect((rival as { message: string }).message).toContain(firstId)
    expect(custody.bench.uses).toBe(0)
    expect(custody.directory.reads).toEqual([])
  })

  test('55 seconds are not enough', async () => {
    const { other, firstId } = await accountWithSigned('55-seconds')
    await ageSignature(custody, firstId, 55)

    expect(await custody.sign(other)).toMatchObject({ rule: 'PREV-ONE-LIVE-SIGNATURE' })
    expect(custody.bench.uses).toBe(0)
  })

  test('a tombstone is a rival like any other', async () => {
    const { account } = await accountWithSigned('tombstone-rival')

    expect(await custody.sign(tombstoneOf(account))).toMatchObject({
      kind: 'denied',
      rule: 'PREV-ONE-LIVE-SIGNATURE',
    })
  })

  test('thirty operations on one prev at once: one is signed, the others name it', async () => {
    const account = await custody.account('thirty')
    custody.bench.uses = 0
    const results = await Promise.all(
      Array.from({ length: 30 }, (_, n) => custody.sign(renamed(account, `thirty-${n}`))),
    )
    const [winner, second] = results.filter(({ kind }) => kind === 'signed')
    const losers = results.filter(({ kind }) => kind === 'denied')

    expect(second).toBeUndefined()
    expect(losers).toHaveLength(29)
    for (const loser of losers) {
      expect(loser).toMatchObject({ rule: 'PREV-ONE-LIVE-SIGNATURE' })
      expect((loser as { message: string }).message).toContain(idOf(winner!))
    }
    expect(custody.bench.uses).toBe(1)
  })

  test('the same genesis bytes with another key are a rival: they would be a second identity', async () => {
    const genesis = genesisOf('two-keys', [custody.key.did, custody.p256.did])
    const first = await custody.sign(genesis)
    const rival = await custody.sign(genesis, { key: custody.p256 })

    expect(first.kind).toBe('signed')
    expect(rival).toMatchObject({ kind: 'denied', rule: 'PREV-ONE-LIVE-SIGNATURE' })
    expect((rival as { message: string }).message).toContain(idOf(first))
    await ageSignature(custody, idOf(first), 61)
    const later = await custody.sign(genesis, { key: custody.p256 })
    const stranger = await custody.sign(genesis, { caller: 'other' })
    expect(later).toMatchObject({ rule: 'PREV-ONE-LIVE-SIGNATURE' })
    expect(stranger).toMatchObject({ rule: 'PREV-ONE-LIVE-SIGNATURE' })
    expect(await custody.sign(genesis)).toEqual(first)
  })
})

describe('60 seconds after its record', () => {
  test('another is signed, after a read that shows prev as head, and names what it replaces', async () => {
    const { account, other, firstId } = await accountWithOldSigned('replaced')
    const second = await custody.sign(other)

    expect(second.kind).toBe('signed')
    expect(custody.directory.reads).toEqual([account.did])
    expect(await rowOf(idOf(second))).toMatchObject({ state: 'returned', replaces: [firstId] })
    expect(await rowOf(firstId)).toMatchObject({ state: 'superseded', lease: null })
  })

  test('what was replaced is never handed out again', async () => {
    const { first, other } = await accountWithOldSigned('never-again')
    const second = idOf(await custody.sign(other))
    custody.bench.uses = 0

    const denied = { kind: 'denied', rule: 'PREV-ONE-LIVE-SIGNATURE' }
    for (let time = 0; time < 3; time += 1) expect(await custody.sign(first)).toMatchObject(denied)
    await ageSignature(custody, second, 61)
    for (let time = 0; time < 3; time += 1) expect(await custody.sign(first)).toMatchObject(denied)
    expect(custody.bench.uses).toBe(0)
  })

  test('what was replaced stays so when its successor is replaced too, however often', async () => {
    const { account, first, other } = await accountWithOldSigned('in-turn')
    let newest = idOf(await custody.sign(other))
    for (let turn = 0; turn < 4; turn += 1) {
      await ageSignature(custody, newest, 61)
      expect(await custody.sign(first)).toMatchObject({ rule: 'PREV-ONE-LIVE-SIGNATURE' })
      const next = await custody.sign(renamed(account, `in-turn-${turn}`))
      expect(next.kind).toBe('signed')
      newest = idOf(next)
    }
    for (const replaced of [first, other]) {
      expect(await custody.sign(replaced)).toMatchObject({ rule: 'PREV-ONE-LIVE-SIGNATURE' })
    }
  })

  test('the successor itself is handed out again', async () => {
    const { other } = await accountWithOldSigned('successor')
    const second = await custody.sign(other)

    expect(await custody.sign(other)).toEqual(second)
  })

  test('the head moved: denied by PREV-IS-HEAD, and nothing is signed', async () => {
    const { account, first, other, firstId } = await accountWithOldSigned('moved')
    const sent = await custody.signed(first)
    custody.directory.submit(sent)
    const rival = await custody.sign(other)

    expect(rival).toMatchObject({ kind: 'denied', rule: 'PREV-IS-HEAD' })
    expect((rival as { message: string }).message).toContain(sent.cid)
    expect(custody.bench.uses).toBe(0)
    expect(await rowOf(firstId)).toMatchObject({ state: 'returned' })
    expect(account.did).toBe(sent.did)
  })

  test.each(['is down', 'answers nonsense', 'does not know the DID'] as const)(
    'a directory that %s: busy, nothing is signed, the first stays in force',
    async (behaviour) => {
      const name = behaviour.replaceAll(' ', '-').toLowerCase()
      const { first, other } = await accountWithOldSigned(name)
      const directory = directoryThat(behaviour)

      expect(await custody.sign(other, { directory })).toMatchObject({ kind: 'busy' })
      expect(custody.bench.uses).toBe(0)
      expect(await custody.sign(first)).toMatchObject({ kind: 'signed' })
      expect(await custody.sign(other)).toMatchObject({ kind: 'signed' })
    },
  )

  test('ten successors at once: one replaces the first, the others name it', async () => {
    const { account, firstId } = await accountWithOldSigned('ten')
    const results = await Promise.all(
      Array.from({ length: 10 }, (_, n) => custody.sign(renamed(account, `ten-${n}`))),
    )
    const winners = results.filter(({ kind }) => kind === 'signed')

    expect(winners).toHaveLength(1)
    expect(results.filter(({ kind }) => kind === 'denied')).toHaveLength(9)
    expect(await rowOf(idOf(winners[0]!))).toMatchObject({ replaces: [firstId] })
  })
})

describe('a read of the directory that is too old', () => {
  test('begun before the first had its time: busy, and nothing is signed', async () => {
    const { account, other, firstId } = await accountWithOldSigned('old-read')
    // While the read is under way, the first becomes one whose time ends just now.
    custody.directory.onRead = async () => {
      await custody.pool.query(
        `update requests set produced_at = clock_timestamp() - interval '60 seconds' where id = $1`,
        [firstId],
      )
    }
    const early = await custody.sign(other)
    custody.directory.onRead = () => {}

    expect(early).toMatchObject({ kind: 'busy' })
    expect(custody.directory.reads).toEqual([account.did])
    expect(custody.bench.uses).toBe(0)
    expect(await custody.sign(other)).toMatchObject({ kind: 'signed' })
  })

  test('a rival signed while the read was under way: denied, naming it', async () => {
    const { account, other, firstId } = await accountWithOldSigned('during-read')
    let third = ''
    custody.directory.onRead = async () => {
      custody.directory.onRead = () => {}
      third = idOf(await custody.sign(renamed(account, 'during-read-third')))
    }
    const denied = await custody.sign(other)

    expect(denied).toMatchObject({ kind: 'denied', rule: 'PREV-ONE-LIVE-SIGNATURE' })
    expect((denied as { message: string }).message).toContain(third)
    expect(await rowOf(third)).toMatchObject({ state: 'returned', replaces: [firstId] })
    expect(custody.bench.uses).toBe(1)
  })
})

describe('a claim that died', () => {
  test('other bytes are signed when its lease has ended, with no read and nothing replaced', async () => {
    const account = await custody.account('dead')
    const fault = suspendableSigner()
    custody.bench.fault = fault
    const dead = custody.sign(renamed(account, 'dead-1'))
    await expect.poll(() => fault.waiting.length).toBe(1)
    custody.bench.fault = null
    custody.directory.reads.length = 0
    await endLeases(custody.pool)
    const second = await custody.sign(renamed(account, 'dead-2'))
    fault.waiting[0]?.()

    expect(second).toMatchObject({ kind: 'signed' })
    expect(await rowOf(idOf(second))).toMatchObject({ replaces: [] })
    expect(custody.directory.reads).toEqual([])
    expect(await dead).toMatchObject({ kind: 'busy' })
    expect(await custody.sign(renamed(account, 'dead-1'))).toMatchObject({
      kind: 'denied',
      rule: 'PREV-ONE-LIVE-SIGNATURE',
    })
  })

  test('a claim that replaces and dies: its own bytes finish it and still name what they replace', async () => {
    const { other, firstId } = await accountWithOldSigned('dead-successor')
    const fault = suspendableSigner()
    custody.bench.fault = fault
    const dead = custody.sign(other)
    await expect.poll(() => fault.waiting.length).toBe(1)
    custody.bench.fault = null
    await endLeases(custody.pool)
    const finished = await custody.sign(other)
    fault.waiting[0]?.()
    await dead

    expect(finished.kind).toBe('signed')
    expect(await rowOf(idOf(finished))).toMatchObject({ state: 'returned', replaces: [firstId] })
  })

  test('a claim that replaces and dies: the next one reads the directory itself', async () => {
    const { account, first, other } = await accountWithOldSigned('dead-replacer')
    const next = renamed(account, 'dead-replacer-next')
    const fault = suspendableSigner()
    custody.bench.fault = fault
    const dead = custody.sign(other)
    await expect.poll(() => fault.waiting.length).toBe(1)
    custody.bench.fault = null
    await endLeases(custody.pool)
    const unread = await custody.sign(next, { directory: directoryThat('is down') })
    const signed = await custody.sign(next)
    fault.waiting[0]?.()

    expect(unread).toMatchObject({ kind: 'busy' })
    expect(signed).toMatchObject({ kind: 'signed' })
    expect(await dead).toMatchObject({ kind: 'busy' })
    expect(await custody.sign(first)).toMatchObject({ rule: 'PREV-ONE-LIVE-SIGNATURE' })
  })

  test('a claim that replaces and dies: its own bytes read again, and a moved head denies them', async () => {
    const { account, first, other } = await accountWithOldSigned('dead-late')
    const sent = await custody.signed(first)
    const fault = suspendableSigner()
    custody.bench.fault = fault
    const dead = custody.sign(other)
    await expect.poll(() => fault.waiting.length).toBe(1)
    custody.bench.fault = null
    custody.directory.submit(sent)
    await endLeases(custody.pool)
    const again = await custody.sign(other)
    fault.waiting[0]?.()

    expect(again).toMatchObject({ kind: 'denied', rule: 'PREV-IS-HEAD' })
    expect(await custody.sign(renamed(account, 'dead-late-3'))).toMatchObject({
      rule: 'PREV-IS-HEAD',
    })
    expect(await dead).toMatchObject({ kind: 'busy' })
  })
})
