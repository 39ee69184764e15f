import { describe, expect, test } from 'vitest'
import { missingForKms } from '../../support/kms-emulator/emulator.ts'
import type { KmsFault } from '../../support/kms-emulator/proxy.ts'
import { bitFlip } from '../../support/signers.ts'
import { ask, newIntent, tally, within } from '../pkcs11/ask.ts'
import { until } from '../pkcs11/harness.ts'
import { openBench } from './harness.ts'

const missing = missingForKms()
const FOREVER = { times: Number.POSITIVE_INFINITY }
// Short where a test waits for them, so that it takes no seconds.
const QUICK = { signMs: 600, requestMs: 250, connectMs: 200, checkMs: 400, recheckEveryMs: 60 }

const answer = (type: string, status = 400): KmsFault => ({ mode: 'answer', status, type })

async function openKey(limits: object = QUICK) {
  const bench = await openBench()
  const backend = bench.open(limits)
  const signer = await backend.openSigner(bench.k)
  const state = () => backend.health()[0]?.state.kind
  return { ...bench, backend, signer, state, sign: async () => await ask(signer, bench.k) }
}

describe.skipIf(missing !== null)(`what passes (needs ${missing ?? 'nothing more'})`, () => {
  test.each<[string, KmsFault[]]>([
    ['a burst of throttling', Array.from({ length: 3 }, () => answer('ThrottlingException'))],
    ['an error of AWS’s own', [answer('KMSInternalException', 500)]],
    ['a dependency that timed out', [answer('DependencyTimeoutException', 503)]],
    ['a key that is not available', [answer('KeyUnavailableException', 500)]],
    ['a gateway', [answer('', 502)]],
    ['a connection that is reset', [{ mode: 'reset' }]],
    ['a connection that is reset in the middle of the answer', [{ mode: 'reset-mid-answer' }]],
    ['a call that stalls', [{ mode: 'stall' }]],
    ['an answer that is lost', [{ mode: 'signs-and-stalls' }]],
    ['an answer that is not JSON', [{ mode: 'not-json' }]],
    ['an answer without a signature', [{ mode: 'no-signature' }]],
    [
      'one that signs and says that it failed',
      [{ mode: 'signs-and-answers', status: 500, type: 'KMSInternalException' }],
    ],
    ['a slow answer', [{ mode: 'slow', ms: 150 }]],
  ])('%s: the caller notices nothing', async (_what, faults) => {
    const key = await openKey({ ...QUICK, signMs: 3_000 })
    for (const fault of faults) key.proxy.fault(fault)
    expect(await key.sign()).toBe('signed')
    expect(key.state()).toBe('ready')
    const tries = faults.some(({ mode }) => mode === 'slow') ? 1 : faults.length + 1
    await until(() => key.proxy.signs() === tries)
  })

  test('each try is a call of its own, and the answer names the one that gave it', async () => {
    const key = await openKey()
    key.proxy.fault(answer('ThrottlingException'), { times: 2 })
    const { requestId } = await key.signer.sign(newIntent(key.k), within(5_000))
    const calls = key.proxy.calls.filter(({ action }) => action === 'Sign')
    expect(calls.map(({ status }) => status)).toEqual([400, 400, 200])
    expect(calls.at(-1)?.requestId).toBe(requestId)
  })
})

describe.skipIf(missing !== null)('what lasts longer than a caller waits', () => {
  test.each<[string, KmsFault, string]>([
    ['throttling', answer('ThrottlingException'), 'unavailable'],
    ['a limit', answer('LimitExceededException'), 'unavailable'],
    ['a key that is not available', answer('KeyUnavailableException', 500), 'unavailable'],
    ['errors of AWS’s own', answer('KMSInternalException', 500), 'timeout'],
    ['a stall', { mode: 'stall' }, 'timeout'],
    ['lost answers', { mode: 'signs-and-stalls' }, 'timeout'],
    ['resets', { mode: 'reset' }, 'timeout'],
    ['resets in the middle', { mode: 'reset-mid-answer' }, 'timeout'],
  ])('%s: %#: its class, and signed again by itself', async (_what, fault, code) => {
    const key = await openKey()
    key.proxy.fault(fault, FOREVER)
    expect(await key.sign()).toBe(code)
    key.proxy.heal()
    expect(await key.sign()).toBe('signed')
    expect(key.state()).toBe('ready')
  })

  test('nobody listens: unavailable, readiness says so, and ready again without a call', async () => {
    const key = await openKey()
    await key.proxy.down()
    // A kept connection may end under the call, and then nobody knows.
    expect(['unavailable', 'timeout']).toContain(await key.sign())
    expect(await key.sign()).toBe('unavailable')
    await expect(key.signer.check(within(100))).rejects.toMatchObject({ code: 'unavailable' })
    await key.proxy.up()
    await until(() => key.state() === 'ready')
    await key.signer.check(within(100))
    expect(await key.sign()).toBe('signed')
  })

  test('throttling under load: nothing is lost, nobody waits past the deadline, AWS is not flooded', async () => {
    const key = await openKey({ signMs: 1_500 })
    key.proxy.fault(answer('ThrottlingException'), { times: 100 })
    const answers = tally(await Promise.all(Array.from({ length: 100 }, key.sign)))
    expect((answers.signed ?? 0) + (answers.unavailable ?? 0)).toBe(100)
    expect(answers.signed).toBeGreaterThan(50)
    expect(key.state()).toBe('ready')
    expect(key.proxy.signs()).toBeLessThan(400)
  })

  test('a rate that is used up is told here, before AWS is asked', async () => {
    const bench = await openBench()
    const slow = { ...bench.k, uri: bench.k.uri?.replace('rate=10000', 'rate=2') ?? null }
    const signer = await bench.open(QUICK).openSigner(slow)
    const answers = tally(
      await Promise.all(Array.from({ length: 10 }, async () => ask(signer, slow))),
    )
    expect(answers.unavailable).toBeGreaterThan(6)
    expect(bench.proxy.signs()).toBe(answers.signed)
  })
})

describe.skipIf(missing !== null)('a fault of the key or of the configuration', () => {
  test.each([
    'AccessDeniedException',
    'DisabledException',
    'NotFoundException',
    'KMSInvalidStateException',
    'InvalidKeyUsageException',
    'UnrecognizedClientException',
    'ExpiredTokenException',
  ])('%s while it runs: no second try, not ready, and well again by itself', async (type) => {
    const key = await openKey({ ...QUICK, recheckEveryMs: 60_000 })
    key.proxy.fault(answer(type))
    expect(await key.sign()).toBe('key-unusable')
    expect(key.proxy.signs()).toBe(1)
    await expect(key.signer.check(within(100))).rejects.toMatchObject({ code: 'key-unusable' })
    expect(await key.sign()).toBe('signed')
    await key.signer.check(within(100))
  })

  test('the key is disabled, for real, and enabled again: the look finds both', async () => {
    const key = await openKey({ ...QUICK, checkEveryMs: 60 })
    await key.emulator.disable(key.keys.k.arn)
    await until(() => key.state() === 'unusable')
    expect(await key.sign()).toBe('key-unusable')
    await key.emulator.enable(key.keys.k.arn)
    await until(() => key.state() === 'ready')
    expect(await key.sign()).toBe('signed')
    expect(key.backend.states).toContain('unusable')
  })
})

describe.skipIf(missing !== null)('what is not the pinned key’s signature', () => {
  const faults: [string, (bench: Awaited<ReturnType<typeof openKey>>) => KmsFault][] = [
    ['with a flipped bit of r', () => ({ mode: 'signature', change: bitFlip(9) })],
    ['with a flipped bit of s', () => ({ mode: 'signature', change: bitFlip(509) })],
    ['with r and s exchanged', () => ({ mode: 'signature', change: swapped })],
    ['with a byte after it', () => ({ mode: 'der', change: (der) => Uint8Array.of(...der, 0) })],
    ['cut short', () => ({ mode: 'der', change: (der) => der.subarray(0, 40) })],
    ['empty', () => ({ mode: 'der', change: () => new Uint8Array() })],
    ['as 64 bytes, not DER', () => ({ mode: 'der', change: () => new Uint8Array(64).fill(7) })],
    ['by another key', ({ keys }) => ({ mode: 'other-key', key: keys.p, named: 'asked' })],
    [
      'by another key that it names',
      ({ keys }) => ({ mode: 'other-key', key: keys.p, named: 'used' }),
    ],
  ]

  test.each(faults)(
    '%s: nothing is released, the key rests until a look, then signs',
    async (_what, faultFor) => {
      const key = await openKey({ ...QUICK, recheckEveryMs: 150 })
      key.proxy.fault(faultFor(key))
      expect(await key.sign()).toBe('signature-invalid')
      expect(key.state()).toBe('unusable')
      const used = key.proxy.signs()
      expect(await key.sign()).toBe('key-unusable')
      expect(key.proxy.signs()).toBe(used)
      await until(() => key.state() === 'ready')
      expect(await key.sign()).toBe('signed')
      expect(key.backend.states).toContain('unusable')
    },
  )

  test('three times in a row: the key is not used again', async () => {
    const key = await openKey({ ...QUICK, recheckEveryMs: 20 })
    key.proxy.fault({ mode: 'signature', change: bitFlip(9) }, FOREVER)
    for (let time = 0; time < 3; time += 1) {
      await until(() => key.state() === 'ready')
      expect(await key.sign()).toBe('signature-invalid')
    }
    key.proxy.heal()
    const looks = key.proxy.calls.length
    await until(() => key.proxy.calls.length > looks + 4)
    expect(await key.sign()).toBe('key-unusable')
    expect(key.backend.health()[0]?.state.message).toContain('restart')
  })

  test('the public key becomes another one: the key rests, and signs when it is the pinned one again', async () => {
    const key = await openKey({ ...QUICK, checkEveryMs: 60 })
    key.proxy.fault(
      { mode: 'public-key', key: await key.emulator.makeKey('K-256') },
      { on: 'GetPublicKey', ...FOREVER },
    )
    await until(() => key.state() === 'unusable')
    expect(await key.sign()).toBe('key-unusable')
    expect(key.proxy.signs()).toBe(0)
    key.proxy.heal()
    await until(() => key.state() === 'ready')
    expect(await key.sign()).toBe('signed')
  })
})

const swapped = (compact: Uint8Array) =>
  Uint8Array.of(...compact.subarray(32), ...compact.subarray(0, 32))

describe.skipIf(missing !== null)('a start', () => {
  const open = async (
    changes: object,
    prepare = async (_bench: Awaited<ReturnType<typeof openBench>>) => {},
  ) => {
    const bench = await openBench()
    await prepare(bench)
    const backend = bench.open(QUICK)
    return { bench, backend, opening: backend.openSigner({ ...bench.k, ...changes }) }
  }

  test('asks what the key is, and uses it for nothing', async () => {
    const { bench, opening } = await open({})
    await opening
    expect(bench.proxy.calls.map(({ action }) => action).sort()).toEqual([
      'DescribeKey',
      'GetPublicKey',
    ])
  })

  test('refuses a key that is not the pinned one', async () => {
    const other = await (await openBench()).emulator.makeKey('K-256')
    const { opening } = await open({ did: other.did })
    await expect(opening).rejects.toMatchObject({
      code: 'key-unusable',
      message: expect.stringContaining(other.did),
    })
  })

  test('refuses a key of the other curve', async () => {
    const bench = await openBench()
    const { opening } = await open({ uri: bench.p.uri })
    await expect(opening).rejects.toMatchObject({
      code: 'key-unusable',
      message: expect.stringContaining('ECC_NIST_P256'),
    })
  })

  test('refuses a key that is not there', async () => {
    const bench = await openBench()
    const uri = bench.k.uri?.replace(/key\/[0-9a-f]{8}/, 'key/00000000')
    const { opening } = await open({ uri })
    await expect(opening).rejects.toMatchObject({
      code: 'key-unusable',
      message: expect.stringContaining('NotFound'),
    })
  })

  test.each([
    [{ KeyState: 'Disabled' }, 'Disabled'],
    [{ KeyState: 'PendingDeletion' }, 'PendingDeletion'],
    [{ KeyUsage: 'ENCRYPT_DECRYPT' }, 'SIGN_VERIFY'],
  ])('refuses a key of which AWS says %j', async (fields, word) => {
    const { opening } = await open({}, async ({ proxy }) =>
      proxy.fault({ mode: 'metadata', fields }, { on: 'DescribeKey', ...FOREVER }),
    )
    await expect(opening).rejects.toMatchObject({
      code: 'key-unusable',
      message: expect.stringContaining(word),
    })
  })

  test('refuses the credential of a caller of its own door', async () => {
    const before = process.env['AWS_ACCESS_KEY_ID']
    process.env['AWS_ACCESS_KEY_ID'] = 'HFAKABCDEFGHIJKLMNOP'
    try {
      const { bench, opening } = await open({})
      await expect(opening).rejects.toMatchObject({
        code: 'key-unusable',
        message: expect.stringContaining('AWS_ACCESS_KEY_ID'),
      })
      expect(bench.proxy.calls).toEqual([])
    } finally {
      process.env['AWS_ACCESS_KEY_ID'] = before
    }
  })

  test('is not stopped by AWS being away: unavailable until the key has been looked at', async () => {
    const { bench, backend, opening } = await open({}, async ({ proxy }) => await proxy.down())
    const signer = await opening
    expect(await ask(signer, bench.k)).toBe('unavailable')
    await bench.proxy.up()
    await until(() => backend.health()[0]?.state.kind === 'ready')
    expect(await ask(signer, bench.k)).toBe('signed')
  })

  test('while AWS throttles: nothing is signed before the key has been looked at', async () => {
    const { bench, opening } = await open({}, async ({ proxy }) =>
      proxy.fault(answer('ThrottlingException'), { on: 'DescribeKey', ...FOREVER }),
    )
    expect(await ask(await opening, bench.k)).toBe('unavailable')
    expect(bench.proxy.signs()).toBe(0)
  })
})
