import { randomBytes } from 'node:crypto'
import { chmod, rename } from 'node:fs/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { decode } from '@ipld/dag-cbor'
import { createClient } from '../../../src/client/client.ts'
import { verifyWithAtproto } from '../../../src/ecdsa/atproto.ts'
import { latchDir } from '../../../src/data-dir.ts'
import { signingBytes } from '../../../src/plc/encode.ts'
import { importFileKey } from '../../../src/signer/file.ts'
import { importKey } from '../../../src/signer/pkcs11/admin.ts'
import { pinFromFile } from '../../../src/signer/pkcs11/pin-file.ts'
import { unlatch } from '../../../src/signer/pkcs11/pin-latch.ts'
import { parseTokenUri } from '../../../src/signer/pkcs11/uri.ts'
import { CKR } from '../../support/pkcs11-shim/shim.ts'
import { kmsCaller } from '../../support/kms-caller.ts'
import { genesisOf } from '../../support/operations.ts'
import { bearerOf, startService } from '../../support/service.ts'
import type { KeyEntry } from '../../support/pinned-key.ts'
import type { Service, ServiceOptions } from '../../support/service.ts'
import { missingForPkcs11 } from '../../support/softhsm.ts'
import { openBench, until } from './harness.ts'
import type { Bench } from './harness.ts'

// The whole service, its doors and its record, with a key in a token that has faults.

const missing = missingForPkcs11()
let serial = 0
const nextGenesis = (did: string) => genesisOf(`token-${(serial += 1)}`, [did])

async function serviceOf(
  { environment }: Bench,
  key: ServiceOptions['key'],
): Promise<Service & { sign: (name?: string) => Promise<Answer> }> {
  const service = await startService({ ...(key === undefined ? {} : { key }), environment })
  onTestFinished(async () => await service.stop())
  const kms = kmsCaller(service.url, service.pds)
  onTestFinished(() => kms.close())
  const sign = async () => await kms.sign(nextGenesis(service.keyDid))
  return { ...service, sign }
}
type Answer = Awaited<ReturnType<ReturnType<typeof kmsCaller>['sign']>>

const inToken = (bench: Bench, key: 'k' | 'p'): ServiceOptions['key'] => {
  const { curve, did, uri } = bench[key]
  return async (): Promise<KeyEntry> => ({ curve, did, uri })
}

const readyz = async ({ url }: Service) =>
  (await (await fetch(`${url}/readyz`)).json()) as {
    ready: boolean
    parts: Record<string, { ok: boolean; message: string }>
    warnings: string[]
  }

const eventsOf = ({ lines }: Service, event: string) =>
  lines.filter((line) => line['event'] === event)

/** Audit entries of a kind, oldest first. */
async function entriesOf({ context }: Service, kind: string): Promise<Record<string, unknown>[]> {
  const { rows } = await context.db.$client.query<{ body: Buffer }>(
    'select body from audit_outbox where kind = $1 order by id',
    [kind],
  )
  return rows.map(({ body }) => decode(new Uint8Array(body)))
}

describe.skipIf(missing !== null)(`a service (needs ${missing ?? 'nothing more'})`, () => {
  test('signs with a K-256 key in a token behind the KMS door, and with a P-256 key at /v1', async () => {
    const bench = await openBench()
    const service = await serviceOf(bench, inToken(bench, 'k'))
    expect(await service.sign()).toMatchObject({ status: 200 })
    expect((await readyz(service)).parts['keys']).toEqual({ ok: true, message: 'ready' })
    const metrics = await (await fetch(`${service.url}/metrics`)).text()
    expect(metrics).toContain('holdfast_key_places{backend="pkcs11",state="ready"} 1')
    expect(metrics).toContain('holdfast_key_seconds_count{backend="pkcs11",outcome="ok"} 1')

    const other = await serviceOf(bench, inToken(bench, 'p'))
    const client = createClient({ url: other.url, credential: other.pds })
    const operation = nextGenesis(bench.p.did)
    const { id } = await client.propose({ key: 'pds', operation })
    const { signature } = await client.sign(id)
    const compact = Buffer.from(signature ?? '', 'base64url')
    expect(await verifyWithAtproto(bench.p.did, signingBytes(operation), compact)).toBe(true)
  })

  test('starts without its token, says so without its name, and signs when it is back', async () => {
    const bench = await openBench()
    await rename(bench.tokens, `${bench.tokens}.away`)
    const service = await serviceOf(bench, inToken(bench, 'k'))
    const keys = (await readyz(service)).parts['keys']
    expect(keys).toEqual({ ok: false, message: 'a place of a key is away' })

    expect(await service.sign()).toMatchObject({ status: 400, code: 'ThrottlingException' })
    const { proposed, signed } = await proposeAndSign(service)
    expect(signed.status).toBe(503)
    expect(signed.headers.get('retry-after')).toBe('1')
    expect(await signed.json()).toMatchObject({ code: 'busy', request: proposed.id })
    const client = createClient({ url: service.url, credential: service.pds })
    expect(await client.readRequest(proposed.id)).toMatchObject({ state: 'approved' })

    await rename(`${bench.tokens}.away`, bench.tokens)
    await until(async () => (await service.sign()).status === 200)
    expect(await client.sign(proposed.id)).toMatchObject({ state: 'returned' })
    expect(eventsOf(service, 'key-place-ready')).toMatchObject([{ place: 'T' }])
  })

  test.each([
    [
      'a PIN file that others can read',
      'can be read by others',
      async (b: Bench) => await chmod(b.pinPath, 0o644),
    ],
    [
      'another key behind the label',
      'but keys.yaml pins',
      async (b: Bench) => void Object.assign(b.k, { did: await b.makeKey('other', 'K-256') }),
    ],
    [
      'no such key',
      'no private key',
      async (b: Bench) => void Object.assign(b.k, { uri: b.hsm.uri('object=none') }),
    ],
    [
      'a module that is not there',
      'cannot load',
      async (b: Bench) =>
        void Object.assign(b.k, { uri: b.hsm.uri('object=k', '/nowhere/lib.so') }),
    ],
    [
      'a URI with a PIN in it',
      'pin-value= is refused',
      async (b: Bench) =>
        void Object.assign(b.k, { uri: 'pkcs11:token=T;object=k?module-path=/x.so&pin-value=1' }),
    ],
  ])('does not start with %s', async (_what, says, spoil) => {
    const bench = await openBench()
    await spoil(bench)
    await expect(serviceOf(bench, inToken(bench, 'k'))).rejects.toThrow(says)
  })

  test('a PIN that is refused: latched in health, log and record, until a person has looked', async () => {
    const bench = await openBench()
    await bench.setPin('not the PIN')
    const service = await serviceOf(bench, inToken(bench, 'k'))
    expect(await service.sign()).toMatchObject({ status: 400, code: 'ThrottlingException' })
    expect((await readyz(service)).parts['keys']).toMatchObject({
      ok: false,
      message: expect.stringContaining('holdfast keys unlatch'),
    })
    const [event] = eventsOf(service, 'key-place-latched')
    expect(event).toMatchObject({ alarm: true, place: 'T', serial: expect.any(String) })
    await until(async () => (await entriesOf(service, 'key.latched')).length === 1)
    const [entry] = await entriesOf(service, 'key.latched')
    expect(entry).toMatchObject({ serial: event?.['serial'] })
    expect(await bench.shim.count('C_Login')).toBe(1)

    await bench.setPin(bench.pin)
    await unlatch(latchDir(service.context.config), String(event?.['serial']))
    await until(async () => (await service.sign()).status === 200)
    expect(await bench.shim.count('C_Login')).toBe(2)
    expect(JSON.stringify(service.lines)).not.toContain(bench.pin)
  })

  test('with a retired key: it is not opened, signs nothing, and its end is on record', async () => {
    const bench = await openBench()
    const { did, uri } = bench.k
    await rename(bench.tokens, `${bench.tokens}.away`)
    const service = await serviceOf(bench, async () => ({ did, uri, retired: true }))
    expect(await service.sign()).toMatchObject({
      status: 400,
      code: 'AccessDeniedException',
      message: expect.stringContaining('POLICY-KEY-IN-FORCE'),
    })
    expect((await readyz(service)).parts['keys']).toEqual({ ok: true, message: 'ready' })
    expect(await entriesOf(service, 'key.retired')).toMatchObject([{ key: 'pds', keyDid: did }])
    expect(await bench.shim.count('C_Initialize')).toBe(0)
  })

  describe('with a second home for its key', () => {
    test.each([
      ['is away', async (bench: Bench) => await rename(bench.tokens, `${bench.tokens}.away`)],
      [
        'hangs',
        async (bench: Bench) =>
          await bench.shim.set({ on: '*', action: 'stall', argument: 60_000 }),
      ],
      [
        'reports a device error',
        async (bench: Bench) =>
          await bench.shim.set({ on: 'C_Sign', action: 'fail', argument: CKR.DEVICE_ERROR }),
      ],
    ])(
      'the first one %s: the second signs within a second, and record, log and health say so',
      async (_what, fail) => {
        const { bench, service } = await openTwoHomes()
        expect(await service.sign()).toMatchObject({ status: 200 })
        await fail(bench)
        const answers = await Promise.all(
          Array.from({ length: 8 }, async () => await service.sign()),
        )
        expect(answers.map(({ status }) => status)).toEqual(Array(8).fill(200))

        const produced = await entriesOf(service, 'signature.produced')
        expect(produced.map((entry) => entry['home'])).toEqual([
          'pkcs11:token=T;object=twin',
          ...Array(8).fill('file:twin'),
        ])
        const intended = await entriesOf(service, 'signature.intended')
        expect(intended).toHaveLength(9)
        // From intent to outcome by Postgres's clock: what the take-over cost, and not the machine's load.
        const took = produced.map(({ request, at }) => {
          const intent = intended.find((entry) => entry['request'] === request)
          return Number(at) - Number(intent?.['at'])
        })
        expect(Math.max(...took)).toBeLessThan(10_000)
        expect(eventsOf(service, 'key-taken-over')).toMatchObject([
          { alarm: true, key: 'pds', to: 'file:twin' },
        ])
        await until(async () => (await entriesOf(service, 'key.taken-over')).length === 1)
        const { ready, warnings } = await readyz(service)
        expect(ready).toBe(true)
        expect(warnings).toContainEqual(expect.stringContaining('the first home of a key is down'))
      },
    )

    test('the first one is away at the start: the service starts, and the second signs', async () => {
      const { service } = await openTwoHomes(
        async (bench) => await rename(bench.tokens, `${bench.tokens}.away`),
      )
      expect(await service.sign()).toMatchObject({ status: 200 })
      expect((await readyz(service)).ready).toBe(true)
    })

    test('and hands back when it is well again', async () => {
      const { bench, service } = await openTwoHomes()
      await rename(bench.tokens, `${bench.tokens}.away`)
      expect(await service.sign()).toMatchObject({ status: 200 })
      await rename(`${bench.tokens}.away`, bench.tokens)
      await until(async () => {
        expect(await service.sign()).toMatchObject({ status: 200 })
        return eventsOf(service, 'key-handed-back').length > 0
      }, 15_000)
      await until(async () => (await entriesOf(service, 'key.taken-over')).length === 2)
      const homes = (await entriesOf(service, 'key.taken-over')).map(({ from, to }) => [from, to])
      expect(homes).toEqual([
        ['pkcs11:token=T;object=twin', 'file:twin'],
        ['file:twin', 'pkcs11:token=T;object=twin'],
      ])
    })

    test('an attempt whose outcome is unknown: the same bytes, one intent, one signature released', async () => {
      const { bench, service } = await openTwoHomes()
      await service.sign()
      const used = await bench.shim.count('C_Sign')
      await bench.shim.set({ on: 'C_Sign', action: 'stall', argument: 2_000 })
      const answer = await service.sign()
      expect(answer.status).toBe(200)
      await until(async () => (await bench.shim.count('C_Sign')) > used)
      await new Promise((resolve) => setTimeout(resolve, 2_500))

      expect(await entriesOf(service, 'signature.intended')).toHaveLength(2)
      const produced = await entriesOf(service, 'signature.produced')
      expect(produced).toHaveLength(2)
      expect(produced[1]).toMatchObject({ home: 'file:twin' })
      const compact = 'compact' in answer ? answer.compact : new Uint8Array()
      expect(Buffer.from(produced[1]?.['signature'] as Uint8Array).equals(compact)).toBe(true)
    })
  })
})

/** A key that exists outside, brought into a token and into a file. */
async function openTwoHomes(beforeStart: (bench: Bench) => Promise<void> = async () => {}) {
  const bench = await openBench()
  const secret = randomBytes(32)
  const made = await importKey(
    {
      uri: parseTokenUri(bench.hsm.tokenUri()),
      pin: pinFromFile(bench.pinPath),
      latchDir: bench.latchDir,
      environment: bench.environment,
    },
    { label: 'twin', curve: 'K-256', secret },
  )
  const did = made?.did ?? ''
  await beforeStart(bench)
  const service = await serviceOf(bench, async (files) => {
    await importFileKey(files, 'twin', { curve: 'K-256', secret })
    return { did, homes: [bench.hsm.uri('object=twin'), 'file:twin'] }
  })
  return { bench, service }
}

async function proposeAndSign(service: Service) {
  const client = createClient({ url: service.url, credential: service.pds })
  const operation = nextGenesis(service.keyDid)
  const proposed = await client.propose({ key: 'pds', operation })
  const signed = await fetch(`${service.url}/v1/requests/${proposed.id}/sign`, {
    method: 'POST',
    headers: { authorization: bearerOf(service.pds) },
  })
  return { proposed, signed }
}
