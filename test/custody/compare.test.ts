import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { generateKeyPair } from '../support/user-key.ts'
import type { UserKey } from '../support/user-key.ts'
import { signingBytes } from '../../src/plc/encode.ts'
import type { UnsignedOperation } from '../../src/plc/operation.ts'
import { genesisOf, renamed, signedWith, updateOf } from '../support/operations.ts'
import type { Signed } from '../support/operations.ts'
import { startService } from '../support/service.ts'
import type { Service } from '../support/service.ts'
import { outsidePool } from '../support/postgres.ts'

// What the directory exports, against the record: every operation by our keys has its outcome here.

let service: Service
let user: UserKey
let account: Signed

beforeEach(async () => {
  service = await startService()
  user = await generateKeyPair()
  await service.context.follow(AbortSignal.timeout(10_000))
  account = await signHere(genesisOf('followed', [user.did, service.keyDid]))
  await submit(account)
})
afterEach(async () => await service.stop())

async function signHere(operation: UnsignedOperation, did?: string): Promise<Signed> {
  const { context } = service
  const key = context.policies.keys.find(({ id }) => id === 'pds')!
  const answer = await context.signNow({ caller: 'pds', key, message: signingBytes(operation) })
  if (answer.kind !== 'signed') throw new Error(JSON.stringify(answer))
  return signedWith(operation, answer.compact, did)
}

const signAsUser = async (operation: UnsignedOperation) =>
  signedWith(operation, await user.sign(signingBytes(operation)), account.did)

async function submit({ did, operation }: Signed): Promise<void> {
  const response = await fetch(`${service.directory.url}/${did}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(operation),
  })
  expect(await response.text()).toBe('OK')
  // Times of the directory are in milliseconds, and must differ.
  await sleep(5)
}

const follow = async () => await service.context.follow(AbortSignal.timeout(10_000))

const alarms = () => service.lines.filter((line) => line['alarm'] === true)

async function entries(kind: string): Promise<number> {
  const { rows } = await service.context.db.$client.query<{ n: number }>(
    'select count(*)::int as n from audit_outbox where kind = $1',
    [kind],
  )
  return rows[0]?.n ?? 0
}

test('operations that were signed here are on record, each once, and are read once', async () => {
  await submit(await signHere(renamed(account, 'again'), account.did))

  expect(await follow()).toEqual({ operations: 2, own: 2, foreign: [], nullified: [] })
  expect(await follow()).toEqual({ operations: 0, own: 0, foreign: [], nullified: [] })
  expect(alarms()).toEqual([])
})

test('operations of identities that are in nobody’s care are passed over', async () => {
  const own = genesisOf('stranger', [user.did])
  await submit(signedWith(own, await user.sign(signingBytes(own))))
  expect(await follow()).toMatchObject({ operations: 1, own: 1 })
})

describe('an operation that has no outcome here', () => {
  test("a user's own, where our keys stay, is noted and alarms nobody", async () => {
    await submit(await signAsUser(renamed(account, 'by-the-user')))
    const { foreign } = await follow()

    expect(foreign).toMatchObject([{ did: account.did, class: 'user' }])
    expect(alarms()).toEqual([])
    expect(await entries('operation.foreign')).toBe(1)
    // It is known as head from now on, without a read.
    await signHere(renamed(await headOf(), 'after'), account.did)
  })

  test('one that takes our key out alarms, with the end of the 72 hours', async () => {
    await submit(await signAsUser(updateOf(account, { rotationKeys: [user.did] })))
    const { foreign } = await follow()
    const [entry] = service.directory.entries(account.did).slice(-1)

    expect(foreign).toMatchObject([{ class: 'loss' }])
    const deadline = new Date(entry!.createdAt.getTime() + 72 * 3_600_000)
    expect(alarms()).toMatchObject([
      { event: 'operation-foreign', class: 'loss', deadline: deadline.toISOString() },
    ])
    expect(String(alarms()[0]?.['msg'])).toContain(deadline.toISOString())
  })

  test('one that nullifies what was signed here alarms for both', async () => {
    await submit(await signHere(renamed(account, 'ours'), account.did))
    await follow()
    await submit(await signAsUser(renamed(account, 'instead')))
    const found = await follow()

    expect(found.foreign).toMatchObject([{ class: 'foreign' }])
    expect(found.nullified).toMatchObject([{ did: account.did }])
    expect(alarms().map((line) => line['event'])).toEqual([
      'operation-foreign',
      'operation-nullified',
    ])
    expect(await entries('operation.nullified')).toBe(1)
  })

  test('one that our key signed, and whose entry somebody took out of the outbox, alarms', async () => {
    const signed = await signHere(renamed(account, 'hidden'), account.did)
    const outside = outsidePool(service.database)
    await outside.query(`delete from audit_outbox where kind = 'signature.produced'
      and subject = (select request_id::text from operations where cid = '${signed.cid}')`)
    await outside.end()
    await submit(signed)
    const { foreign } = await follow()

    expect(foreign).toMatchObject([{ cid: signed.cid, class: 'our-key' }])
    expect(alarms()).toMatchObject([{ class: 'our-key' }])
  })

  test('is reported once, also when the place that was kept is lost', async () => {
    await submit(await signAsUser(renamed(account, 'by-the-user')))
    await follow()
    await service.context.db.$client.query('update followed set cursor = 0')

    expect(await follow()).toMatchObject({ operations: 2, own: 1, foreign: [] })
  })
})

/** What the directory shows as the last operation. */
async function headOf(): Promise<Signed> {
  const [entry] = service.directory.entries(account.did).slice(-1)
  return { did: account.did, cid: entry!.cid, operation: entry!.operation }
}
