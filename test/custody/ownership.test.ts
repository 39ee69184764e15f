import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { showRequest } from '../../src/http/v1/show-request.ts'
import type { UnsignedOperation } from '../../src/plc/operation.ts'
import { listRequests, readRequest } from '../../src/store/request-views.ts'
import { keyNamed } from '../plc/build-log.ts'
import { idOf, openCustody } from '../support/custody.ts'
import type { As, Custody } from '../support/custody.ts'
import { directoryThat } from '../support/fake-directory.ts'
import { departureOf, genesisOf, renamed, tombstoneOf, updateOf } from '../support/operations.ts'
import type { Signed } from '../support/operations.ts'

// A DID belongs to one caller. For any other, it does not exist.

let custody: Custody
let account: Signed
const own: As = { caller: 'pds' }
const stranger: As = { caller: 'other' }
const foreignKey = (await keyNamed('foreign')).did()

/** The CID of an operation that nobody here has ever seen. */
const unknownCid = 'bafyreiaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'

beforeAll(async () => {
  custody = await openCustody()
})
beforeEach(async () => {
  account = await custody.account(`owned-${Math.random().toString(36).slice(2, 10)}`, own)
  custody.bench.uses = 0
})
afterEach(async () => await custody.check())
afterAll(async () => await custody.close())

const attempts: Record<string, (previous: Signed) => UnsignedOperation> = {
  'a new handle': (previous) => renamed(previous, 'taken'),
  'nothing changed': (previous) => updateOf(previous, {}),
  'a departure': (previous) => departureOf(previous, [foreignKey]),
  'a tombstone': tombstoneOf,
  'no rotation keys': (previous) => updateOf(previous, { rotationKeys: [] }),
  'a key of their own above ours': (previous) =>
    updateOf(previous, { rotationKeys: [foreignKey, custody.key.did] }),
  'a new endpoint': (previous) =>
    updateOf(previous, {
      services: { atproto_pds: { type: 'AtprotoPersonalDataServer', endpoint: 'https://x.test' } },
    }),
}

describe.each(Object.entries(attempts))('%s by another caller', (_name, build) => {
  test('is answered and shown as for an unknown prev, word for word', async () => {
    const foreign = build(account)
    const unknown = { ...foreign, prev: unknownCid }
    const answers = [
      await answerAndView(foreign, account.cid),
      await answerAndView(unknown, unknownCid),
    ]

    expect(answers[0]).toEqual(answers[1])
    expect(answers[0]?.answer).toMatchObject({ kind: 'denied', rule: 'PREV-KNOWN' })
    expect(JSON.stringify(answers[0])).not.toContain(account.did)
    expect(custody.bench.uses).toBe(0)
  })

  /** All that a stranger can learn, with the `prev` that it gave itself written as one word. */
  async function answerAndView(operation: UnsignedOperation, prev: string) {
    const answer = await custody.sign(operation, stranger)
    const shown = await readRequest(custody.db, custody.sealer, {
      caller: 'other',
      id: idOf(answer),
    })
    if (shown === null) throw new Error('a caller sees its own requests')
    const { id: _id, digest, createdAt: _at, ...view } = showRequest(shown)
    const text = JSON.stringify({ answer: { ...answer, requestId: '' }, view })
    return JSON.parse(text.replaceAll(prev, 'PREV').replaceAll(digest, 'DIGEST')) as {
      answer: object
      view: object
    }
  }
})

describe('when accounts are looked for, and the stranger has some of its own', () => {
  const foreign = () => renamed(account, 'looked-for')
  const unknown = () => ({ ...renamed(account, 'looked-for'), prev: unknownCid })

  beforeEach(async () => {
    await custody.account(`strangers-${Math.random().toString(36).slice(2, 10)}`, stranger)
    custody.directory.reads.length = 0
  })

  test('as many logs are read for a foreign prev as for an unknown one', async () => {
    await custody.sign(foreign(), stranger)
    const forForeign = custody.directory.reads.splice(0).length
    await custody.sign(unknown(), stranger)

    expect(forForeign).toBe(custody.directory.reads.length)
  })

  test('a directory that is down makes both busy', async () => {
    const directory = directoryThat('is down')
    const answers = [
      await custody.sign(foreign(), { ...stranger, directory }),
      await custody.sign(unknown(), { ...stranger, directory }),
    ]

    expect(answers[0]).toEqual(answers[1])
  })
})

test('a rival’s live signature is not shown to another caller', async () => {
  await custody.sign(renamed(account, 'live'), own)

  expect(await custody.sign(renamed(account, 'live'), stranger)).toMatchObject({
    rule: 'PREV-KNOWN',
  })
  expect(await custody.sign(renamed(account, 'rival'), stranger)).toMatchObject({
    rule: 'PREV-KNOWN',
  })
})

test('the same denial again is the same request, also when the DID came into care in between', async () => {
  const operation = renamed(account, 'in-between')
  await custody.outside.query('delete from operations where cid = $1', [account.cid])
  const unknown = await custody.sign(operation, stranger)
  await custody.enroll(account.did, 'pds')
  const foreign = await custody.sign(operation, stranger)
  await custody.outside.query('update operations set request_id = $2 where cid = $1', [
    account.cid,
    await requestOf(account.cid),
  ])

  expect(unknown).toMatchObject({ kind: 'denied', rule: 'PREV-KNOWN' })
  expect(foreign).toEqual(unknown)
})

test('no view of another caller’s request', async () => {
  const id = idOf(await custody.sign(renamed(account, 'mine'), own))

  expect(await readRequest(custody.db, custody.sealer, { caller: 'pds', id })).not.toBeNull()
  expect(await readRequest(custody.db, custody.sealer, { caller: 'other', id })).toBeNull()
  const listed = await listRequests(custody.db, custody.sealer, {
    caller: 'other',
    state: null,
    after: id,
    limit: 100,
  })
  expect(listed).toEqual([])
})

test('the record keeps what the stranger is not told', async () => {
  const answer = await custody.sign(renamed(account, 'kept'), stranger)
  const { rows } = await custody.pool.query<{ body: Buffer }>(
    'select body from audit_outbox where subject = $1',
    [idOf(answer)],
  )

  expect(rows[0]?.body.toString('latin1')).toContain(account.did)
  expect(rows[0]?.body.toString('latin1')).toContain('DID-OF-CALLER')
})

test('the same genesis bytes by another caller do not make the account theirs', async () => {
  const genesis = genesisOf('contested', [custody.key.did])
  const first = await custody.signed(genesis, own)
  const second = await custody.sign(genesis, stranger)

  expect(second).toMatchObject({ kind: 'denied', rule: 'PREV-ONE-LIVE-SIGNATURE' })
  expect(await custody.sign(renamed(first, 'theirs'), stranger)).toMatchObject({
    rule: 'PREV-KNOWN',
  })
  expect(await custody.sign(renamed(first, 'ours'), own)).toMatchObject({ kind: 'signed' })
})

async function requestOf(cid: string): Promise<string | undefined> {
  const { rows } = await custody.pool.query<{ id: string }>(
    'select id from requests where cid = $1',
    [cid],
  )
  return rows[0]?.id
}
