import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { signingBytes } from '../../src/plc/encode.ts'
import type { UnsignedOperation } from '../../src/plc/operation.ts'
import { idOf } from '../support/custody.ts'
import { movedTo, openApproving, rekeyed } from '../support/approving.ts'
import type { Approving } from '../support/approving.ts'
import { directoryThat } from '../support/fake-directory.ts'
import { sealRow } from '../../src/store/seals.ts'
import { endLeases } from '../support/moving-time.ts'
import { renamed } from '../support/operations.ts'
import type { Signed } from '../support/operations.ts'
import { failingSigner } from '../support/signers.ts'

// What needs officers: asked through the door, agreed to by signatures, signed once.

let approving: Approving
let account: Signed
let accounts = 0

beforeAll(async () => {
  approving = await openApproving()
})
beforeEach(async () => {
  approving.custody.bench.fault = null
  account = await approving.custody.account(`approved-${(accounts += 1)}`)
  approving.custody.bench.uses = 0
})
afterEach(async () => await approving.custody.check({ movedTime: true }))
afterAll(async () => await approving.custody.close())

const sign = async (operation: UnsignedOperation) => await approving.custody.sign(operation)

/** Asks for a change of endpoint; the id of the request before the officers. */
async function asked(operation = movedTo(account, 'new')): Promise<string> {
  const answer = await sign(operation)
  expect(answer.kind).toBe('waiting')
  return idOf(answer)
}

async function agreed(operation = movedTo(account, 'new')): Promise<string> {
  const id = await asked(operation)
  expect(await approving.approve(id, 'alice')).toEqual({ kind: 'kept' })
  expect(await approving.approve(id, 'carol')).toEqual({ kind: 'kept' })
  return id
}

async function requests(): Promise<number> {
  const { rows } = await approving.custody.pool.query<{ n: number }>(
    'select count(*)::int as n from requests',
  )
  return rows[0]?.n ?? 0
}

describe('a request that needs officers', () => {
  test('waits, names the rule, and an identical retry adds no second one', async () => {
    const operation = movedTo(account, 'new')
    const first = await sign(operation)
    expect(first).toMatchObject({
      kind: 'waiting',
      message: 'approval required by MOVE (security)',
    })
    const before = await requests()
    const again = await sign(operation)
    expect(again).toMatchObject({ kind: 'waiting', requestId: idOf(first) })
    expect(again).toMatchObject({ message: expect.stringContaining('2 more of security') })
    expect(await requests()).toBe(before)
    expect(approving.custody.bench.uses).toBe(0)
  })

  test('is signed once, exactly, after two officers of two organisations agreed', async () => {
    const operation = movedTo(account, 'new')
    const id = await asked(operation)
    await approving.approve(id, 'alice')
    expect(await approving.stateOf(id)).toBe('proposed')
    expect((await sign(operation)).kind).toBe('waiting')
    await approving.approve(id, 'carol')
    expect(await approving.stateOf(id)).toBe('approved')

    const signed = await sign(operation)
    expect(signed).toMatchObject({ kind: 'signed', requestId: id })
    expect(await sign(operation)).toEqual(signed)
    expect(approving.custody.bench.uses).toBe(1)
    expect(await approving.entriesOf(id)).toEqual([
      'request.proposed',
      'approval.recorded',
      'approval.recorded',
      'request.approved',
      'request.proposed',
      'signature.intended',
      'signature.produced',
    ])
  })

  test('two calls at once after the approval use the key once', async () => {
    const operation = movedTo(account, 'new')
    await agreed(operation)
    const answers = await Promise.all([sign(operation), sign(operation), sign(operation)])
    expect(answers.some(({ kind }) => kind === 'signed')).toBe(true)
    expect(approving.custody.bench.uses).toBe(1)
  })

  test('reads the directory whenever it is asked and signed', async () => {
    const { custody } = approving
    const operation = movedTo(account, 'new')
    const down = { directory: directoryThat('is down') }
    expect(await custody.sign(operation, down)).toMatchObject({ kind: 'busy' })
    custody.directory.reads.length = 0
    await agreed(operation)
    expect(custody.directory.reads).toEqual([account.did])
    expect(await custody.sign(operation, down)).toMatchObject({ kind: 'busy' })
    expect(custody.bench.uses).toBe(0)
    await sign(operation)
    expect(custody.directory.reads).toEqual([account.did, account.did])
  })

  test('is not signed any more once the head has moved', async () => {
    const { custody } = approving
    const operation = movedTo(account, 'new')
    await agreed(operation)
    const other = await custody.signed(renamed(account, 'moved-on'))
    custody.directory.submit(other)
    expect(await sign(operation)).toMatchObject({ kind: 'denied' })
  })

  test('whose key failed is asked for anew, and whose key was away is not', async () => {
    const { custody } = approving
    const operation = movedTo(account, 'new')
    const id = await agreed(operation)
    custody.bench.fault = failingSigner('unavailable')
    expect(await sign(operation)).toMatchObject({ kind: 'busy', requestId: id })
    custody.bench.fault = failingSigner('timeout')
    expect(await sign(operation)).toMatchObject({ kind: 'busy', requestId: id })
    custody.bench.fault = null
    await endLeases(custody.outside)
    expect(await sign(operation)).toMatchObject({ kind: 'signed', requestId: id })
  })
})

describe('an approval', () => {
  test('said twice is one, and so is one by the same officer anew', async () => {
    const id = await asked()
    const shown = await approving.shown(id)
    const first = await approving.approve(id, 'alice')
    const again = await approving.approve(id, 'alice')
    expect([first.kind, again.kind]).toEqual(['kept', 'kept'])
    expect((await approving.shown(id)).said).toHaveLength(1)
    expect(shown.missing).toEqual(['2 more of security: alice, bob, carol', '2 more organisations'])
    expect((await approving.shown(id)).missing).toEqual([
      '1 more of security: bob, carol',
      '1 more organisation',
    ])
  })

  test.each([
    ['with another display', { matter: { display: 'something else' } }],
    ['for another head', { matter: { head: null } }],
    ['for another key', { matter: { key: null } }],
    ['in another role', { role: 'operator' as const }],
    ['from the future', { notBefore: Math.floor(Date.now() / 1000) + 3600 }],
  ])('%s is refused at the door', async (_what, fields) => {
    const id = await asked()
    expect(await approving.approve(id, 'alice', fields)).toMatchObject({ kind: 'void' })
    expect((await approving.shown(id)).said).toEqual([])
  })

  test('of an officer in no quorum, or of nobody known, is refused', async () => {
    const id = await asked()
    expect(await approving.approve(id, 'dora')).toMatchObject({ kind: 'void' })
    expect(await approving.approve(id, 'erin')).toMatchObject({ kind: 'void' })
    expect(await approving.approve(id, 'alice', { person: 'bob' })).toMatchObject({
      kind: 'malformed',
    })
  })

  test('with a nonce that was used for another request is refused', async () => {
    const nonce = new Uint8Array(16).fill(accounts)
    const one = await asked()
    await approving.approve(one, 'alice', { nonce })
    const other = await approving.custody.account(`other-${accounts}`)
    const two = await asked(movedTo(other, 'new'))
    expect(await approving.approve(two, 'alice', { nonce })).toMatchObject({
      kind: 'void',
      message: 'its nonce was used before',
    })
  })

  test('of what nobody was asked about finds nothing', async () => {
    const signed = await sign(renamed(account, 'ordinary'))
    const id = await asked(movedTo(await approving.custody.account(`x-${accounts}`), 'new'))
    const matter = (await approving.shown(id)).matter
    expect(matter.display).toContain('MOVE')
    expect(await approving.custody.approvals.find(idOf(signed))).toBeNull()
  })
})

describe('a rejection', () => {
  test('ends the request for good, whatever was approved', async () => {
    const operation = movedTo(account, 'new')
    const id = await agreed(operation)
    expect(await approving.reject(id, 'dora')).toEqual({ kind: 'kept' })
    expect(await approving.stateOf(id)).toBe('rejected')
    expect(await sign(operation)).toEqual({ kind: 'rejected', requestId: id })
    expect(await approving.approve(id, 'bob')).toMatchObject({ kind: 'conflict' })
    expect(approving.custody.bench.uses).toBe(0)
    expect(await approving.entriesOf(id)).toEqual([
      'request.proposed',
      'approval.recorded',
      'approval.recorded',
      'request.approved',
      'rejection.recorded',
      'request.rejected',
    ])
  })

  test('stands when the status is put back, and what was said with it', async () => {
    const operation = movedTo(account, 'new')
    const id = await agreed(operation)
    await approving.reject(id, 'alice')
    await approving.custody.outside.query(`update requests set state = 'approved' where id = $1`, [
      id,
    ])
    await expect(sign(operation)).rejects.toMatchObject({ code: 'row-tampered' })
    await expect(approving.approve(id, 'carol')).rejects.toMatchObject({ code: 'row-tampered' })
    const { rows } = await approving.custody.outside.query<object>(
      `delete from approvals where request_id = $1 and decision = 'reject' returning *`,
      [id],
    )
    expect(rows).toHaveLength(1)
    await expect(sign(operation)).rejects.toThrow(`request ${id} has ended`)
    await approving.custody.outside.query(`update requests set state = 'rejected' where id = $1`, [
      id,
    ])
  })

  test('binds programs; a person may ask for the same change again, and not approve it', async () => {
    const operation = movedTo(account, 'new')
    const message = signingBytes(operation)
    const id = await asked(operation)
    await approving.approve(id, 'alice')
    await approving.reject(id, 'bob')
    const own = { caller: 'pds', key: approving.custody.key, message }
    expect(await approving.propose(own)).toEqual({ kind: 'rejected', requestId: id })

    const anew = await approving.proposeAnew({ officer: 'alice', keyId: 'pds', message })
    if (anew.kind !== 'proposed') throw new Error(anew.kind)
    expect(anew.requestId).not.toBe(id)
    expect((await approving.shown(anew.requestId)).missing[0]).toBe(
      '2 more of security: bob, carol',
    )
    expect(await approving.approve(anew.requestId, 'alice')).toMatchObject({ kind: 'void' })
    await approving.approve(anew.requestId, 'bob')
    await approving.approve(anew.requestId, 'carol')
    expect(await sign(operation)).toMatchObject({ kind: 'signed', requestId: anew.requestId })
  })
})

describe('a delay', () => {
  test('is waited for, and any one officer ends it', async () => {
    const operation = rekeyed(account)
    const id = idOf(await sign(operation))
    await approving.approve(id, 'dora')
    expect(await approving.stateOf(id)).toBe('approved')
    expect(await sign(operation)).toMatchObject({
      kind: 'waiting',
      message: expect.stringContaining('signed from'),
    })
    expect((await approving.shown(id)).standing).toBe('delayed')
    await approving.reject(id, 'carol')
    expect(await sign(operation)).toMatchObject({ kind: 'rejected' })
  })

  test('is over an hour after the quorum', async () => {
    const operation = rekeyed(account)
    const id = idOf(await sign(operation))
    const hourAgo = Math.floor(Date.now() / 1000) - 3601
    await approving.approve(id, 'dora', { notBefore: hourAgo })
    expect(await sign(operation)).toMatchObject({ kind: 'signed', requestId: id })
  })
})

describe('what a stolen credential can do', () => {
  test('one request of an identity is before the officers; a newer one takes its place', async () => {
    const one = await asked(movedTo(account, 'one'))
    const two = await asked(movedTo(account, 'two'))
    expect(await approving.stateOf(one)).toBe('superseded')
    await approving.approve(two, 'alice')
    expect(await sign(movedTo(account, 'three'))).toMatchObject({
      kind: 'denied',
      rule: 'DID-ONE-OPEN-REQUEST',
      requestId: null,
    })
    expect(await approving.stateOf(two)).toBe('proposed')
  })

  test('twenty of a caller, and then no row', async () => {
    const { custody } = approving
    const ids: string[] = []
    let answer
    for (let n = 0; n < 21; n += 1) {
      const other = await custody.account(`many-${accounts}-${n}`)
      answer = await sign(movedTo(other, 'new'))
      if (answer.kind !== 'waiting') break
      ids.push(answer.requestId)
    }
    const { rows } = await custody.pool.query<{ n: number }>(
      `select count(*)::int as n from requests where state = 'proposed' and caller = 'pds'`,
    )
    expect(rows[0]?.n).toBe(20)
    expect(answer).toMatchObject({ kind: 'denied', rule: 'POLICY-OPEN-REQUESTS', requestId: null })
    for (const id of ids) await approving.reject(id, 'alice')
  })

  test('sixty denials in a minute have a row each, and more are one entry', async () => {
    const { custody } = approving
    await custody.outside.query(`delete from requests where state = 'denied'`)
    await custody.outside.query(`delete from audit_outbox where kind = 'request.denied'`)
    const key = custody.key.did
    const answers = []
    for (let n = 0; n < 63; n += 1) {
      answers.push(await sign({ ...movedTo(account, 'x'), rotationKeys: [key, key, `${key}${n}`] }))
    }
    expect(answers.every(({ kind }) => kind === 'denied')).toBe(true)
    expect(
      answers.filter((answer) => 'requestId' in answer && answer.requestId === null),
    ).toHaveLength(3)
    await custody.outside.query(`update denial_counts set minute = minute - interval '1 hour'`)
    expect(await approving.sweep()).toMatchObject({ counted: 1 })
    expect(await approving.entriesOf('pds')).toEqual(['denials.counted'])
  })
})

describe('time', () => {
  test('officers who do not agree in time let it expire; the next call asks anew', async () => {
    const operation = movedTo(account, 'new')
    const id = await asked(operation)
    await approving.approve(id, 'alice')
    const { custody } = approving
    // Time passes for the row: its seals are made again, as only the service can.
    const old = new Date(Date.now() - 25 * 3_600_000)
    await custody.outside.query('update requests set created_at = $2, seal = $3 where id = $1', [
      id,
      old,
      await rowSealOf(id, old),
    ])
    await custody.outside.query('update quorums set seal = $2 where request_id = $1', [
      id,
      await sealOf(id, old),
    ])
    expect(await approving.approve(id, 'carol')).toMatchObject({ kind: 'void' })
    const again = await sign(operation)
    expect(again).toMatchObject({ kind: 'waiting' })
    expect(idOf(again)).not.toBe(id)
    expect(await approving.stateOf(id)).toBe('expired')
    expect((await approving.entriesOf(id)).at(-1)).toBe('request.expired')
  })

  test('the sweep ends what nobody asks for again', async () => {
    const id = await asked()
    await approving.custody.outside.query(
      `update requests set created_at = created_at - interval '25 hours' where id = $1`,
      [id],
    )
    expect((await approving.sweep()).expired).toBeGreaterThan(0)
    expect(await approving.stateOf(id)).toBe('expired')
  })
})

async function rowSealOf(id: string, createdAt: Date): Promise<Buffer> {
  const { sealer } = approving.custody
  const { request } = (await approving.custody.approvals.find(id))!
  return sealRow(sealer, 'request', { ...request, createdAt })
}

async function sealOf(id: string, createdAt: Date): Promise<Buffer> {
  const { custody } = approving
  const { rows } = await custody.pool.query<{ caller: string; key_id: string; digest: Buffer }>(
    'select caller, key_id, digest from requests where id = $1',
    [id],
  )
  const [row] = rows
  const context = [
    id,
    row!.caller,
    row!.key_id,
    row!.digest.toString('hex'),
    createdAt.toISOString(),
    'caller:pds',
  ]
  return Buffer.from(custody.sealer.seal('asked', context, new Uint8Array()))
}
