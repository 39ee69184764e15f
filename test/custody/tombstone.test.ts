import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { buildLog, keyNamed } from '../plc/build-log.ts'
import { idOf, openCustody } from '../support/custody.ts'
import type { Custody } from '../support/custody.ts'
import { directoryThat } from '../support/fake-directory.ts'
import { ageOperation, ageSignature } from '../support/moving-time.ts'
import { genesisOf, renamed, tombstoneOf } from '../support/operations.ts'

// A tombstone undoes a sign-up that failed a moment ago, and nothing else.

let custody: Custody

beforeAll(async () => {
  custody = await openCustody()
})
beforeEach(() => {
  custody.bench.uses = 0
})
afterEach(async () => await custody.check({ movedTime: true }))
afterAll(async () => await custody.close())

test('of a genesis signed 298 seconds ago: signed, and the directory is not read', async () => {
  const account = await custody.account('fresh')
  await ageOperation(custody, account.cid, 298)

  expect(
    await custody.sign(tombstoneOf(account), { directory: directoryThat('is down') }),
  ).toMatchObject({ kind: 'signed' })
})

test('of a genesis signed 301 seconds ago: denied', async () => {
  const account = await custody.account('old')
  await ageOperation(custody, account.cid, 301)

  expect(await custody.sign(tombstoneOf(account))).toMatchObject({
    kind: 'denied',
    rule: 'PLC-TOMBSTONE-FRESH',
  })
  expect(custody.bench.uses).toBe(1)
})

test('of a genesis that the directory does not show yet: signed', async () => {
  const account = await custody.signed(genesisOf('unseen', [custody.key.did]))

  expect(await custody.sign(tombstoneOf(account))).toMatchObject({ kind: 'signed' })
})

test('of a later operation: denied, however fresh', async () => {
  const account = await custody.account('later')
  const second = await custody.signed(renamed(account, 'later-2'))

  expect(await custody.sign(tombstoneOf(second))).toMatchObject({
    kind: 'denied',
    rule: 'PLC-TOMBSTONE-FRESH',
  })
})

test('of a genesis that was signed elsewhere: denied, however fresh', async () => {
  const user = await keyNamed('tombstone-user')
  const [genesis] = await buildLog([{ did: () => custody.key.did }, user], user)
  custody.directory.list([{ ...genesis!, createdAt: new Date().toISOString() }])
  await custody.enroll(genesis!.did)

  expect(await custody.sign(tombstoneOf(genesis!))).toMatchObject({ rule: 'PLC-TOMBSTONE-FRESH' })
})

test('of a genesis that was followed on the directory: denied by PREV-IS-HEAD', async () => {
  const account = await custody.account('followed')
  const second = await custody.signed(renamed(account, 'followed-2'))
  custody.directory.submit(second)
  const id = await requestOf(second.cid)
  await ageSignature(custody, id, 61)
  custody.bench.uses = 0

  expect(await custody.sign(tombstoneOf(account))).toMatchObject({ rule: 'PREV-IS-HEAD' })
  expect(custody.bench.uses).toBe(0)
})

test('of a genesis whose next operation never arrived: signed, and names what it replaces', async () => {
  const account = await custody.account('never-arrived')
  const second = await custody.signed(renamed(account, 'never-arrived-2'))
  const id = await requestOf(second.cid)
  await ageSignature(custody, id, 61)
  const tombstone = await custody.sign(tombstoneOf(account))

  expect(tombstone).toMatchObject({ kind: 'signed' })
  const { rows } = await custody.pool.query('select replaces from requests where id = $1', [
    idOf(tombstone),
  ])
  expect(rows).toEqual([{ replaces: [id] }])
})

test('nothing follows a tombstone', async () => {
  const account = await custody.account('ended')
  const tombstone = await custody.signed(tombstoneOf(account))
  const next = renamed({ ...account, cid: tombstone.cid }, 'ended-2')

  expect(await custody.sign(next)).toMatchObject({ kind: 'denied', rule: 'PREV-IS-HEAD' })
  expect(await custody.sign(tombstoneOf(tombstone))).toMatchObject({ rule: 'PREV-IS-HEAD' })
})

async function requestOf(cid: string): Promise<string> {
  const { rows } = await custody.pool.query<{ id: string }>(
    'select id from requests where cid = $1',
    [cid],
  )
  return rows[0]?.id ?? ''
}
