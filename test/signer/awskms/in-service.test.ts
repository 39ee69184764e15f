import { decode } from '@ipld/dag-cbor'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createClient } from '../../../src/client/client.ts'
import { missingForKms } from '../../support/kms-emulator/emulator.ts'
import type { KmsFault } from '../../support/kms-emulator/proxy.ts'
import { kmsCaller } from '../../support/kms-caller.ts'
import { endLeases } from '../../support/moving-time.ts'
import { genesisOf } from '../../support/operations.ts'
import { bearerOf, startService } from '../../support/service.ts'
import type { Service } from '../../support/service.ts'
import { until } from '../pkcs11/harness.ts'
import { configOf, openBench } from './harness.ts'

// The whole service, its doors and its record, with a key in AWS KMS that has faults.

const missing = missingForKms()
const FOREVER = { times: Number.POSITIVE_INFINITY }
const throttled: KmsFault = { mode: 'answer', status: 400, type: 'ThrottlingException' }
let serial = 0

async function openService(curve: 'k' | 'p' = 'k') {
  const bench = await openBench()
  const { did, uri, curve: name } = bench[curve]
  const service = await startService({ key: async () => ({ did, uri, curve: name }) })
  onTestFinished(async () => await service.stop())
  const kms = kmsCaller(service.url, service.pds)
  onTestFinished(() => kms.close())
  const nextGenesis = () => genesisOf(`kms-${(serial += 1)}`, [did])
  return { ...bench, service, kms, nextGenesis }
}

const readyz = async ({ url }: Service) =>
  (await (await fetch(`${url}/readyz`)).json()) as {
    parts: Record<string, { ok: boolean; message: string }>
  }

async function entriesOf({ context }: Service, kind: string): Promise<Record<string, unknown>[]> {
  const { rows } = await context.db.$client.query<{ body: Buffer }>(
    'select body from audit_outbox where kind = $1 order by id',
    [kind],
  )
  return rows.map(({ body }) => decode(new Uint8Array(body)))
}

async function proposeAndSign({ url, pds }: Service, operation: ReturnType<typeof genesisOf>) {
  const proposed = await createClient({ url, credential: pds }).propose({ key: 'pds', operation })
  const headers = { authorization: bearerOf(pds) }
  const signed = await fetch(`${url}/v1/requests/${proposed.id}/sign`, { method: 'POST', headers })
  return { id: proposed.id, signed }
}

describe.skipIf(missing !== null)(`a service (needs ${missing ?? 'nothing more'})`, () => {
  test('signs with a key in AWS KMS, and the record names the call as CloudTrail does', async () => {
    const { service, kms, proxy, nextGenesis } = await openService()
    expect(await kms.sign(nextGenesis())).toMatchObject({ status: 200 })
    const [produced] = await entriesOf(service, 'signature.produced')
    const call = proxy.calls.find(({ action }) => action === 'Sign')
    expect(call?.requestId).toMatch(/^[0-9a-f-]{36}$/)
    expect(produced).toMatchObject({ home: null, providerRequestId: call?.requestId })
    expect((await readyz(service)).parts['keys']).toEqual({ ok: true, message: 'ready' })
  })

  test('signs with a P-256 key at /v1', async () => {
    const { service, nextGenesis } = await openService('p')
    expect((await proposeAndSign(service, nextGenesis())).signed.status).toBe(200)
  })

  test('is throttled: busy at both doors, no request is spent, and the next call signs', async () => {
    const { service, kms, proxy, nextGenesis } = await openService()
    proxy.fault(throttled, FOREVER)
    const [asked, { id, signed }] = await Promise.all([
      kms.sign(nextGenesis()),
      proposeAndSign(service, nextGenesis()),
    ])
    expect(asked).toMatchObject({ status: 400, code: 'ThrottlingException' })
    expect(signed.status).toBe(503)
    expect(signed.headers.get('retry-after')).toBe('1')
    const client = createClient({ url: service.url, credential: service.pds })
    expect(await client.readRequest(id)).toMatchObject({ state: 'approved' })
    expect(await entriesOf(service, 'signature.postponed')).toHaveLength(2)
    // Throttling is the account's; the key is as well as before.
    expect((await readyz(service)).parts['keys']).toEqual({ ok: true, message: 'ready' })

    proxy.heal()
    expect(await client.sign(id)).toMatchObject({ id, state: 'returned' })
  })

  test('loses answers: the same bytes are signed again, and one signature is released', async () => {
    const { service, kms, proxy, nextGenesis } = await openService()
    const genesis = nextGenesis()
    proxy.fault({ mode: 'signs-and-stalls' }, FOREVER)
    expect(await kms.sign(genesis)).toMatchObject({ status: 400, code: 'ThrottlingException' })
    const lost = proxy.signs()
    expect(lost).toBeGreaterThan(0)
    proxy.heal()
    // It may have been used, so nobody else gets the claim before its lease ends.
    expect(await kms.sign(genesis)).toMatchObject({ code: 'ThrottlingException' })
    expect(proxy.signs()).toBe(lost)
    await endLeases(service.context.db.$client)
    const answers = [await kms.sign(genesis), await kms.sign(genesis)]
    expect(answers).toMatchObject([{ status: 200 }, answers[0]])
    const produced = await entriesOf(service, 'signature.produced')
    expect(produced).toHaveLength(1)
    expect(produced[0]).toMatchObject({ providerRequestId: proxy.calls.at(-1)?.requestId })
    expect(proxy.signs()).toBe(lost + 1)
  })

  test('gets another key’s signature: nothing is released, an alarm, and it signs again by itself', async () => {
    const { service, kms, keys, proxy, nextGenesis } = await openService()
    proxy.fault({ mode: 'other-key', key: keys.p, named: 'asked' })
    expect(await kms.sign(nextGenesis())).toMatchObject({ status: 500 })
    expect((await readyz(service)).parts['keys']).toMatchObject({ ok: false })
    expect(await entriesOf(service, 'signature.produced')).toEqual([])
    const alarms = service.lines.filter((line) => line['alarm'] === true)
    expect(alarms.map((line) => line['event'])).toEqual(
      expect.arrayContaining(['signing-failed', 'key-place-unusable']),
    )
    await until(async () => (await kms.sign(nextGenesis())).status === 200, 15_000)
  })

  test('is denied by a changed policy: failed at once, not ready, and well again by itself', async () => {
    const { service, kms, proxy, nextGenesis } = await openService()
    proxy.fault({ mode: 'answer', status: 400, type: 'AccessDeniedException' })
    expect(await kms.sign(nextGenesis())).toMatchObject({ status: 500 })
    expect((await readyz(service)).parts['keys']).toMatchObject({
      ok: false,
      message: 'a place of a key cannot be used as it is configured',
    })
    await until(async () => (await readyz(service)).parts['keys']?.ok === true, 15_000)
    expect(await kms.sign(nextGenesis())).toMatchObject({ status: 200 })
  })

  test('loses one Region: the replica in another signs in its place, and the record says so', async () => {
    const bench = await openBench()
    const { emulator, proxy } = bench
    const first = await emulator.makeKey('K-256', { multiRegion: true })
    const replica = await emulator.replicate(first, 'us-east-1')
    const uris = [configOf(first, proxy.url), configOf(replica, emulator.url)].map(
      ({ uri }) => uri ?? '',
    )
    const service = await startService({
      key: async () => ({ did: first.did, homes: uris }),
    })
    onTestFinished(async () => await service.stop())
    const kms = kmsCaller(service.url, service.pds)
    onTestFinished(() => kms.close())
    const sign = async () => await kms.sign(genesisOf(`kms-${(serial += 1)}`, [first.did]))
    expect(await sign()).toMatchObject({ status: 200 })
    await proxy.down()
    expect(await sign()).toMatchObject({ status: 200 })
    const produced = await entriesOf(service, 'signature.produced')
    expect(produced.map(({ home }) => home)).toEqual([
      `awskms:///${first.arn}`,
      `awskms:///${replica.arn}`,
    ])
    expect(service.lines.some((line) => line['event'] === 'key-taken-over')).toBe(true)
  })

  test.each([
    ['an alias', 'awskms:///alias/pds', 'an alias can be pointed at another key'],
    ['a key that is not there', null, 'NotFoundException'],
  ])('does not start with %s', async (_what, written, says) => {
    const { k } = await openBench()
    const uri = written ?? k.uri?.replace(/key\/[0-9a-f]{8}/, 'key/00000000') ?? ''
    const starting = startService({ key: async () => ({ did: k.did, uri }) })
    await expect(starting).rejects.toThrow(says)
  })
})
