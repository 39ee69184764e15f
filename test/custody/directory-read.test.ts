import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { buildLog, keyNamed } from '../plc/build-log.ts'
import type { Row } from '../plc/build-log.ts'
import { idOf, openCustody } from '../support/custody.ts'
import type { Custody } from '../support/custody.ts'
import { directoryThat } from '../support/fake-directory.ts'
import { ageSignature } from '../support/moving-time.ts'
import { departureOf, genesisOf, renamed, signBy } from '../support/operations.ts'
import type { Signed } from '../support/operations.ts'

// The directory is read before signing exactly where a stale prev could nullify.

const user = await keyNamed('directory-user')
const aboveUs = await keyNamed('directory-above')

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

/** An enrolled account whose rotation keys are these, from the top down. */
async function enrolled(keys: readonly { did(): string }[]): Promise<Row> {
  const rows = await buildLog(keys, user, [{ by: user, hours: 1 }])
  const head = rows.at(-1)!
  custody.directory.list(rows)
  expect(await custody.enroll(head.did)).toMatchObject({ kind: 'enrolled' })
  custody.directory.reads.length = 0
  return head
}

const ours = { did: () => custody.key.did }

describe('not read', () => {
  test('for a genesis', async () => {
    const genesis = genesisOf('no-read', [custody.key.did])

    expect(await custody.sign(genesis, { directory: directoryThat('is down') })).toMatchObject({
      kind: 'signed',
    })
  })

  test('for a handle change right after our genesis, which the directory may not show yet', async () => {
    const account = await custody.signed(genesisOf('at-once', [custody.key.did]))
    const next = renamed(account, 'at-once-2')

    expect(await custody.sign(next, { directory: directoryThat('is down') })).toMatchObject({
      kind: 'signed',
    })
  })

  test('when ours is the last of the rotation keys', async () => {
    const head = await enrolled([aboveUs, user, ours])

    expect(await custody.sign(renamed(head, 'last-2'))).toMatchObject({ kind: 'signed' })
    expect(custody.directory.reads).toEqual([])
  })

  test('when ours is the last, for a departure neither', async () => {
    const head = await custody.account('leaves-last')

    expect(await custody.sign(departureOf(head, [user.did()]))).toMatchObject({ kind: 'signed' })
    expect(custody.directory.reads).toEqual([])
  })

  test('for what is denied anyway', async () => {
    const head = await enrolled([ours, user])
    const keeps = { ...renamed(head, 'denied-2'), rotationKeys: [] }

    expect(await custody.sign(keeps)).toMatchObject({ kind: 'denied' })
    expect(custody.directory.reads).toEqual([])
  })
})

describe('read once when a key stands below ours', () => {
  let head: Row
  let next: ReturnType<typeof renamed>

  beforeEach(async () => {
    head = await enrolled([ours, await keyNamed(`below-${Math.random()}`), user])
    next = renamed(head, 'below-2')
  })

  test('prev is the head: signed', async () => {
    expect(await custody.sign(next)).toMatchObject({ kind: 'signed' })
    expect(custody.directory.reads).toEqual([head.did])
  })

  test('and not again for the recorded signature', async () => {
    const first = await custody.sign(next)
    const again = await custody.sign(next, { directory: directoryThat('is down') })

    expect(again).toEqual(first)
  })

  test('the head has moved: denied by PREV-IS-HEAD, which names it, and nothing is signed', async () => {
    const moved: Signed = await signBy(user, renamed(head, 'below-moved'), head.did)
    custody.directory.submit(moved)
    const denied = await custody.sign(next)

    expect(denied).toMatchObject({ kind: 'denied', rule: 'PREV-IS-HEAD' })
    expect((denied as { message: string }).message).toContain(moved.cid)
    expect(custody.bench.uses).toBe(0)
  })

  test('the head moves while the log is read: the directory’s answer decides', async () => {
    const moved: Signed = await signBy(user, renamed(head, 'below-moving'), head.did)
    custody.directory.onRead = () => {
      custody.directory.onRead = () => {}
      custody.directory.submit(moved)
    }

    expect(await custody.sign(next)).toMatchObject({ kind: 'denied', rule: 'PREV-IS-HEAD' })
  })

  test('prev is a tombstone’s base: denied', async () => {
    const rows = custody.directory.rowsOf(head.did)
    const tombstone = await signBy(user, { type: 'plc_tombstone', prev: head.cid }, head.did)
    custody.directory.submit(tombstone)

    expect(await custody.sign(next)).toMatchObject({ kind: 'denied', rule: 'PREV-IS-HEAD' })
    expect(rows).toHaveLength(2)
  })

  test.each(['is down', 'answers nonsense', 'does not know the DID'] as const)(
    'a directory that %s: busy, reported, and nothing is signed or kept',
    async (behaviour) => {
      custody.events.length = 0
      const directory = directoryThat(behaviour)

      expect(await custody.sign(next, { directory })).toMatchObject({
        kind: 'busy',
        requestId: null,
      })
      expect(custody.events).toMatchObject([{ kind: 'directory-unreadable', did: head.did }])
      expect(custody.bench.uses).toBe(0)
      expect(await custody.sign(next)).toMatchObject({ kind: 'signed' })
    },
  )

  test('a log whose last signature is forged: busy, and nothing is signed', async () => {
    const rows = custody.directory.rowsOf(head.did)
    const forged = await signBy(await keyNamed('forger'), renamed(head, 'forged'), head.did)
    custody.directory.submit(forged)

    expect(await custody.sign(next)).toMatchObject({ kind: 'busy' })
    expect(custody.bench.uses).toBe(0)
    custody.directory.list(rows)
    expect(await custody.sign(next)).toMatchObject({ kind: 'signed' })
  })

  test('the log of another DID: busy, and nothing is signed', async () => {
    const other = await custody.account(`another-${Math.random().toString(36).slice(2, 8)}`)
    const rows = custody.directory.rowsOf(other.did).map((row) => ({ ...row, did: head.did }))
    custody.directory.list(rows)

    expect(await custody.sign(next)).toMatchObject({ kind: 'busy' })
  })

  test('an old signature on the same prev asks for no second read', async () => {
    const first = idOf(await custody.sign(next))
    await ageSignature(custody, first, 61)
    custody.directory.reads.length = 0

    expect(await custody.sign(renamed(head, 'below-3'))).toMatchObject({ kind: 'signed' })
    expect(custody.directory.reads).toEqual([head.did])
  })
})
