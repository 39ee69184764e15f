import { Secp256k1Keypair } from '@atproto/crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { RequestView } from '../../../src/api/request.ts'
import { createClient } from '../../../src/client/client.ts'
import type { HoldfastClient } from '../../../src/client/client.ts'
import { ApiError } from '../../../src/client/error.ts'
import { verifyWithAtproto } from '../../../src/ecdsa/atproto.ts'
import { signingBytes } from '../../../src/plc/encode.ts'
import type { PlcOperation, UnsignedOperation } from '../../../src/plc/operation.ts'
import { parseSignature } from '../../../src/plc/signature.ts'
import { genesisOf, renamed, signBy } from '../../support/operations.ts'
import type { Signed } from '../../support/operations.ts'
import { startService } from '../../support/service.ts'
import type { Service } from '../../support/service.ts'

let service: Service
let pds: HoldfastClient
let other: HoldfastClient

beforeAll(async () => {
  service = await startService()
  const { accessKeyId, token } = service.pds
  pds = createClient({ url: service.url, credential: { bearer: `${accessKeyId}.${token}` } })
  // The other half of the credentials, so that both ways in are used.
  other = createClient({ url: service.url, credential: service.other })
})
afterAll(async () => await service.stop())

let accounts = 0
const genesis = (rotationKeys = [service.keyDid]): PlcOperation =>
  genesisOf(`account-${(accounts += 1)}`, rotationKeys)

async function propose(operation: UnsignedOperation, by = pds): Promise<RequestView> {
  return await by.propose({ key: 'pds', operation })
}

/** A new account of ours that the directory has. */
async function account(rotationKeys?: string[]): Promise<Signed> {
  const { id } = await propose(genesis(rotationKeys))
  await pds.sign(id)
  return signedOf(await pds.submit(id))
}

function signedOf({ did, cid, signedOperation }: RequestView): Signed {
  if (did === null || cid === null || signedOperation === null) throw new Error('not signed')
  return { did, cid, operation: signedOperation }
}

/** What a call that is refused answers. */
async function problemOf(call: Promise<unknown>): Promise<Partial<ApiError['problem']>> {
  const error = await call.then(
    () => null,
    (error: unknown) => error,
  )
  expect(error).toBeInstanceOf(ApiError)
  return (error as ApiError).problem
}

async function entriesOf(id: string): Promise<string[]> {
  const { rows } = await service.context.db.$client.query<{ kind: string }>(
    'select kind from audit_outbox where subject = $1 order by id',
    [id],
  )
  return rows.map(({ kind }) => kind)
}

describe('a request on its way', () => {
  it('is proposed, signed, submitted and confirmed', async () => {
    const operation = genesis()
    const proposed = await propose(operation)
    expect(proposed).toMatchObject({
      caller: 'pds',
      key: 'pds',
      state: 'approved',
      class: 'genesis',
      did: null,
      rules: ['GENESIS'],
      operation,
      signedOperation: null,
      signature: null,
      submission: null,
    })

    const signed = await pds.sign(proposed.id)
    expect(signed).toMatchObject({ id: proposed.id, state: 'returned', digest: proposed.digest })
    const compact = parseSignature(signed.signature ?? '')
    expect(await verifyWithAtproto(service.keyDid, signingBytes(operation), compact)).toBe(true)
    expect(signed.signedOperation).toEqual({ ...operation, sig: signed.signature })

    const submitted = await pds.submit(proposed.id)
    expect(submitted).toMatchObject({
      state: 'confirmed',
      submission: { outcome: 'accepted', status: null, message: null },
    })
    expect(service.directory.entries(signed.did ?? '').map(({ cid }) => cid)).toEqual([signed.cid])
    expect(await entriesOf(proposed.id)).toEqual([
      'request.proposed',
      // The rules judged it once more before the key was used.
      'request.proposed',
      'signature.intended',
      'signature.produced',
      'submission.accepted',
      'operation.confirmed',
    ])
  })

  it('is the same request for the same bytes, as JSON or DAG-CBOR, whatever became of it', async () => {
    const operation = genesis()
    const { id } = await propose(operation)
    const unsigned = Buffer.from(signingBytes(operation)).toString('base64')
    expect((await pds.propose({ key: 'pds', unsigned })).id).toBe(id)
    const { signature } = await pds.sign(id)
    expect(await pds.sign(id)).toMatchObject({ id, signature })
    await pds.submit(id)
    expect(await propose(operation)).toMatchObject({ id, state: 'confirmed', signature })
    expect(await pds.sign(id)).toMatchObject({ state: 'confirmed', signature })
    expect(await pds.submit(id)).toMatchObject({ state: 'confirmed' })
  })

  it('is listed with the newest first', async () => {
    const first = await propose(genesis())
    const second = await propose(genesis())
    const { requests, cursor } = await pds.listRequests({ state: 'approved', limit: 2 })
    expect(requests.map(({ id }) => id)).toEqual([second.id, first.id])
    expect(cursor).toBeNull()
    const one = await pds.listRequests({ state: 'approved', limit: 1 })
    expect(one.cursor).toBe(second.id)
    const next = await pds.listRequests({ state: 'approved', cursor: second.id })
    expect(next.requests.map(({ id }) => id)).toEqual([first.id])
  })
})

describe('a request that is denied', () => {
  it('is a 403 with the rule and the request, which says why', async () => {
    const { rotationKeys: _keys, ...rest } = genesis()
    const problem = await problemOf(propose({ ...rest, rotationKeys: [] }))
    expect(problem).toMatchObject({
      status: 403,
      code: 'denied',
      rule: 'PLC-ROTATION-KEYS-EMPTY',
      request: expect.any(String),
    })
    const view = await pds.readRequest(problem?.request ?? '')
    expect(view).toMatchObject({ state: 'denied', signature: null })
    expect(view.decision).toContain('PLC-ROTATION-KEYS-EMPTY')
    expect(await problemOf(pds.sign(view.id))).toMatchObject({ code: 'conflict', state: 'denied' })
    expect(await problemOf(pds.submit(view.id))).toMatchObject({ code: 'conflict' })
    expect(await problemOf(pds.cancel(view.id))).toMatchObject({ code: 'conflict' })
  })
})

describe("another caller's request", () => {
  it('is a 404 on every route, as if there were none', async () => {
    const { id } = await propose(genesis())
    for (const name of ['readRequest', 'sign', 'submit', 'cancel'] as const) {
      const problem = await problemOf(other[name](id))
      expect(problem).toMatchObject({ status: 404, code: 'not-found' })
    }
    expect((await pds.readRequest(id)).state).toBe('approved')
  })

  it('does not become the other caller’s by proposing the same bytes', async () => {
    const operation = genesis()
    const { id } = await propose(operation)
    expect((await propose(operation, other)).id).not.toBe(id)
  })
})

describe('a request that is cancelled', () => {
  it('stays so, and its bytes may be proposed again', async () => {
    const operation = genesis()
    const { id } = await propose(operation)
    expect(await pds.cancel(id)).toMatchObject({ id, state: 'cancelled' })
    expect(await pds.cancel(id)).toMatchObject({ id, state: 'cancelled' })
    expect(await problemOf(pds.sign(id))).toMatchObject({ code: 'conflict', state: 'cancelled' })
    expect(await entriesOf(id)).toEqual(['request.proposed', 'request.cancelled'])
    expect(await propose(operation)).toMatchObject({ state: 'approved' })
    expect((await pds.readRequest(id)).state).toBe('cancelled')
  })

  it('cannot be, once a key was used for it', async () => {
    const { id } = await propose(genesis())
    await pds.sign(id)
    expect(await problemOf(pds.cancel(id))).toMatchObject({ code: 'conflict', state: 'returned' })
  })
})

describe('a submission', () => {
  it('needs a signature first', async () => {
    const { id } = await propose(genesis())
    expect(await problemOf(pds.submit(id))).toMatchObject({ code: 'conflict', state: 'approved' })
  })

  it('that the directory took although it said otherwise is confirmed', async () => {
    const { id } = await propose(genesis())
    await pds.sign(id)
    service.directory.fail({ on: 'submit', mode: 'accept and fail', times: 1 })
    expect(await pds.submit(id)).toMatchObject({
      state: 'confirmed',
      submission: { outcome: 'unknown' },
    })
    expect((await entriesOf(id)).slice(-2)).toEqual(['submission.unknown', 'operation.confirmed'])
  })

  it('that nobody answered stays as it was, and may be repeated', async () => {
    const { id } = await propose(genesis())
    await pds.sign(id)
    service.directory.fail({ on: 'submit', mode: 'refuse', times: 1 })
    expect(await pds.submit(id)).toMatchObject({
      state: 'returned',
      submission: { outcome: 'unknown', message: 'the directory answered 503', confirmedAt: null },
    })
    expect(await pds.submit(id)).toMatchObject({
      state: 'confirmed',
      submission: { outcome: 'accepted' },
    })
  })

  it('that the directory refused shows its words', async () => {
    const { id } = await propose(genesis())
    await pds.sign(id)
    service.directory.fail({ on: 'submit', mode: 'too many', times: 1 })
    expect(await pds.submit(id)).toMatchObject({
      state: 'returned',
      submission: { outcome: 'refused', status: 429, message: 'Too Many Requests' },
    })
    expect(await entriesOf(id)).toContain('submission.refused')
  })

  it('is not made while the head cannot be read', async () => {
    const { id } = await propose(genesis())
    await pds.sign(id)
    // The client asks three times before it believes that the service is busy.
    service.directory.fail({ on: 'read', mode: 'refuse', times: 3 })
    expect(await problemOf(pds.submit(id))).toMatchObject({ code: 'busy', request: id })
    const posts = service.directory.requests().filter((line) => line.startsWith('POST'))
    expect(posts.at(-1)).not.toContain((await pds.readRequest(id)).did)
  })

  it('is accepted, and confirmed by a look later, when the log cannot be read after it', async () => {
    const { id } = await propose(genesis())
    await pds.sign(id)
    service.directory.fail({ on: 'read', mode: 'slow', ms: 1, times: 1 })
    service.directory.fail({ on: 'read', mode: 'refuse', times: 1 })
    expect(await pds.submit(id)).toMatchObject({
      state: 'submitted',
      submission: { outcome: 'accepted', confirmedAt: null },
    })
    expect(await service.context.reconcile(new AbortController().signal)).toMatchObject({
      confirmed: 1,
      unread: 0,
    })
    expect(await pds.readRequest(id)).toMatchObject({
      state: 'confirmed',
      submission: { confirmedAt: expect.any(String) },
    })
    expect(await service.context.reconcile(new AbortController().signal)).toMatchObject({
      confirmed: 0,
    })
  })

  it('on a prev that has passed is refused, for good, and its signature is shown no more', async () => {
    const user = await Secp256k1Keypair.create()
    const base = await account([user.did(), service.keyDid])
    const { id } = await propose(renamed(base, 'ours'))
    const { cid } = await pds.sign(id)
    const theirs = await signBy(user, renamed(base, 'theirs'), base.did)
    await fetch(`${service.directory.url}/${base.did}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(theirs.operation),
    })

    const problem = await problemOf(pds.submit(id))
    expect(problem).toMatchObject({ status: 409, code: 'stale', request: id })
    expect(problem?.detail).toContain(theirs.cid)
    const view = await pds.readRequest(id)
    expect(view).toMatchObject({ state: 'superseded', signature: null, signedOperation: null, cid })
    expect((await entriesOf(id)).at(-1)).toBe('request.superseded')
    expect(await problemOf(pds.submit(id))).toMatchObject({ code: 'conflict', state: 'superseded' })
  })

  it('whose prev the directory does not know yet is a conflict', async () => {
    const first = await propose(genesis())
    const base = signedOf(await pds.sign(first.id))
    const { id } = await propose(renamed(base, 'too-early'))
    await pds.sign(id)
    expect(await problemOf(pds.submit(id))).toMatchObject({ code: 'conflict', state: 'returned' })
    await pds.submit(first.id)
    expect(await pds.submit(id)).toMatchObject({ state: 'confirmed' })
  })
})
