import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { DirectoryError } from '../../src/directory/directory.ts'
import type { PlcOperation } from '../../src/plc/operation.ts'
import { keyNamed } from '../plc/build-log.ts'
import { openCustody } from '../support/custody.ts'
import type { Custody } from '../support/custody.ts'
import { directoryThat } from '../support/fake-directory.ts'
import { departureOf, renamed, signBy, tombstoneOf, updateOf } from '../support/operations.ts'
import {
  PDS,
  aboutToMove,
  changedByUser,
  enrolledLegacy,
  fresh,
  genesisFor,
  movedIn,
  servicesAt,
} from './found-accounts.ts'
import type { MovedIn } from './found-accounts.ts'

// An unknown prev: the user signed with a key of their own, or moved in. The door finds them itself.

const denied = { kind: 'denied', rule: 'PREV-KNOWN' }

let custody: Custody

beforeAll(async () => {
  custody = await openCustody({ pds: PDS })
})
beforeEach(async () => {
  custody.directory.reads.length = 0
  custody.directory.onRead = () => {}
  custody.pds.dids.length = 0
  custody.pds.calls.length = 0
  custody.pds.pageSize = 1_000
  custody.pds.onList = () => {}
  custody.events.length = 0
  await custody.outside.query('truncate account_searches, listed_accounts')
})
afterEach(async () => await custody.check())
afterAll(async () => await custody.close())

const kinds = () => custody.events.map(({ kind }) => kind)

async function ownerOf(did: string): Promise<string | undefined> {
  const { rows } = await custody.pool.query('select caller from identities where did = $1', [did])
  return rows[0]?.caller as string | undefined
}

describe('an identity in care whose user signed with a key of their own', () => {
  test('is read again, and the next operation is signed', async () => {
    const { name, changed } = await changedByUser(custody)
    const result = await custody.sign(renamed(changed, `${name}-next`))

    expect(result.kind).toBe('signed')
    expect(custody.directory.reads).toEqual([changed.did])
    expect(custody.pds.calls).toEqual([])
    expect(kinds()).toEqual(['identity-found'])
  })

  test('is denied when prev is not its head', async () => {
    const { name, user, changed } = await changedByUser(custody)
    custody.directory.submit(await signBy(user, renamed(changed, `${name}-more`), changed.did))

    expect(await custody.sign(renamed(changed, `${name}-next`))).toMatchObject(denied)
    expect(kinds()).toEqual([])
  })

  test('is denied when the user took our key out, and what we hold stays as it was', async () => {
    const user = await keyNamed('lone')
    const { name, changed } = await changedByUser(custody, { rotationKeys: [user.did()] })

    expect(await custody.sign(renamed(changed, `${name}-next`))).toMatchObject(denied)
    const { rows } = await custody.pool.query('select 1 from operations where cid = $1', [
      changed.cid,
    ])
    expect(rows).toEqual([])
  })

  test('is denied when the directory’s log does not verify', async () => {
    const { name, changed } = await changedByUser(custody)
    const rows = custody.directory.rowsOf(changed.did)
    Object.assign(rows[1] ?? {}, { nullified: true })

    expect(await custody.sign(renamed(changed, `${name}-next`))).toMatchObject(denied)
    expect(kinds()).toContain('directory-unreadable')
  })

  test('is unknown to another caller, and nothing is read for it', async () => {
    const { name, changed } = await changedByUser(custody)
    const asked = await custody.sign(renamed(changed, `${name}-next`), { caller: 'other' })

    expect(asked).toMatchObject(denied)
    expect(custody.directory.reads).toEqual([])
  })

  test('is busy, and not denied, while the directory cannot be read', async () => {
    const { name, changed } = await changedByUser(custody)
    const operation = renamed(changed, `${name}-next`)
    for (const behaviour of ['is down', 'accepts but times out'] as const) {
      const asked = await custody.sign(operation, { directory: directoryThat(behaviour) })
      expect(asked).toMatchObject({ kind: 'busy', requestId: null })
    }
    expect((await custody.sign(operation)).kind).toBe('signed')
  }, 30_000)

  test('is found when its genesis is a legacy one', async () => {
    const name = fresh('legacy')
    const { did, cid } = await enrolledLegacy(custody, name)
    const user = await keyNamed(name)
    const next: PlcOperation = {
      ...(await genesisFor(name, [user.did(), custody.key.did])),
      verificationMethods: { atproto: custody.key.did },
      prev: cid,
    }
    const changed = await signBy(user, next, did)
    custody.directory.submit(changed)

    expect((await custody.sign(renamed(changed, `${name}-next`))).kind).toBe('signed')
  })
})

describe('an account that moved in', () => {
  test('is found where the PDS lists it, taken into care, and signed for', async () => {
    const { name, moved } = await movedIn(custody)
    const result = await custody.sign(renamed(moved, `${name}-next`))

    expect(result.kind).toBe('signed')
    expect(await ownerOf(moved.did)).toBe('pds')
    expect(custody.pds.calls.map(({ pds }) => pds)).toEqual([PDS, PDS])
    expect(custody.directory.reads).toEqual([moved.did])
    expect(kinds()).toEqual(['identity-found'])
    const { rows } = await custody.pool.query(
      `select 1 from audit_outbox where kind = 'did.enrolled' and subject = $1`,
      [moved.did],
    )
    expect(rows).toHaveLength(1)
  })

  const refusals: Record<string, () => Promise<MovedIn>> = {
    'its log names another endpoint': async () =>
      await movedIn(custody, { services: servicesAt('https://elsewhere.example.com') }),
    'its log names no endpoint': async () => await movedIn(custody, { services: {} }),
    'our key is not among its rotation keys': async () =>
      await movedIn(custody, { rotationKeys: [(await keyNamed('someone')).did()] }),
    'the PDS does not list it': async () => {
      const mover = await movedIn(custody)
      custody.pds.dids.length = 0
      return mover
    },
    'the directory does not know it': async () => {
      const mover = await movedIn(custody)
      custody.directory.rowsOf(mover.moved.did).length = 0
      return mover
    },
    'prev is not its head': async () => {
      const { name, genesis, moved } = await movedIn(custody)
      return { name, genesis: moved, moved: genesis }
    },
  }

  test.each(Object.entries(refusals))('is denied when %s', async (_name, build) => {
    const { name, moved } = await build()

    expect(await custody.sign(renamed(moved, `${name}-next`))).toMatchObject(denied)
    expect(kinds()).not.toContain('identity-found')
  })

  test('is denied when it belongs to another caller, and stays with that one', async () => {
    const { name, moved } = await movedIn(custody)
    await custody.enroll(moved.did, 'other')
    const next = renamed(moved, `${name}-next`)

    expect(await custody.sign(next)).toMatchObject({ kind: 'denied', rule: 'PREV-KNOWN' })
    expect(await ownerOf(moved.did)).toBe('other')
  })

  test('is denied to a caller without a pds address', async () => {
    const { name, moved } = await movedIn(custody)
    const asked = await custody.sign(renamed(moved, `${name}-next`), { caller: 'other' })

    expect(asked).toMatchObject(denied)
    expect(custody.pds.calls).toEqual([])
    expect(custody.directory.reads).toEqual([])
  })

  test('is found later when it was listed and looked at before it had moved', async () => {
    const { name, genesis, move } = await aboutToMove(custody)
    custody.pds.dids.push(genesis.did)
    const early = await movedIn(custody)
    expect((await custody.sign(renamed(early.moved, `${early.name}-next`))).kind).toBe('signed')
    expect(await custody.sign({ ...renamed(genesis, name), prev: genesis.cid })).toMatchObject(
      denied,
    )

    const moved = await move()
    expect((await custody.sign(renamed(moved, `${name}-next`))).kind).toBe('signed')
  })

  test('is found when it left before and is back', async () => {
    const account = await custody.signed(await genesisFor(fresh('back'), [custody.key.did]))
    const elsewhere = await keyNamed('elsewhere')
    const left = await custody.signed(departureOf(account, [elsewhere.did()]))
    const back = updateOf(left, { rotationKeys: [custody.key.did], services: servicesAt(PDS) })
    const returned = await signBy(elsewhere, back, account.did)
    for (const signed of [account, left, returned]) custody.directory.submit(signed)
    custody.pds.dids.push(account.did)

    expect((await custody.sign(renamed(returned, fresh('back')))).kind).toBe('signed')
  })

  test('is denied, and said so in the log, when its PDS does not answer', async () => {
    const { name, moved } = await movedIn(custody)
    custody.pds.onList = () => {
      throw new DirectoryError('unknown', 'no answer')
    }

    expect(await custody.sign(renamed(moved, `${name}-next`))).toMatchObject(denied)
    expect(kinds()).toEqual(['accounts-unlisted'])
  })
})

test('a tombstone with an unknown prev is not looked for', async () => {
  const { moved } = await movedIn(custody)

  expect(await custody.sign(tombstoneOf(moved))).toMatchObject(denied)
  expect(custody.pds.calls).toEqual([])
})
