import { setTimeout as sleep } from 'node:timers/promises'
import { Secp256k1Keypair } from '@atproto/crypto'
import { beforeEach, describe, expect, test } from 'vitest'
import { openVerifier } from '../../src/ecdsa/native.ts'
import { requestDigest } from '../../src/plc/encode.ts'
import type { KeyConfig } from '../../src/policy/policy-set.ts'
import { createHomes } from '../../src/signer/homes.ts'
import type { Homes, TakeOver } from '../../src/signer/homes.ts'
import { verifyForRelease } from '../../src/signer/release.ts'
import type { Signer } from '../../src/signer/signer.ts'
import {
  brokenSigner,
  deafSigner,
  failingSigner,
  usesKeyAndTimesOut,
  wrongKeySigner,
} from '../support/signers.ts'
import type { Fault } from '../support/signers.ts'
import { newIntent } from './pkcs11/ask.ts'

const { verify } = openVerifier()
const keypair = await Secp256k1Keypair.create()
const key: KeyConfig = {
  id: 'pds',
  class: 'online',
  curve: 'K-256',
  did: keypair.did(),
  uri: 'file:a',
  homes: ['file:a', 'file:b'],
  development: false,
}

/** A home with the real key, whose fault a test sets; `digests` are those that it was asked for. */
function homeOf(name: string) {
  const home = { name, fault: null as Fault | null, isSilent: false, digests: [] as string[] }
  const real: Signer = {
    sign: async ({ authorized }) => ({
      signature: await keypair.sign(authorized.bytes),
      home: null,
      requestId: null,
    }),
    check: async () => {
      if (home.isSilent) throw new Error('does not answer')
    },
    close: async () => {},
  }
  const signer: Signer = {
    ...real,
    sign: async (intent, signal) => {
      home.digests.push(Buffer.from(requestDigest(intent.authorized.bytes)).toString('hex'))
      return await (home.fault?.(real) ?? real).sign(intent, signal)
    },
  }
  return Object.assign(home, { signer })
}

let a: ReturnType<typeof homeOf>
let b: ReturnType<typeof homeOf>
let changes: TakeOver[]
let homes: Homes

beforeEach(() => {
  a = homeOf('a')
  b = homeOf('b')
  changes = []
  homes = createHomes([a, b], { verify, report: (change) => changes.push(change) })
})

/** Signs and verifies as custody does. @returns the home that signed, and the milliseconds it took */
async function sign(of = homes): Promise<{ home: string | null; ms: number }> {
  const begun = performance.now()
  const intent = newIntent(key)
  const use = await of.sign(intent, AbortSignal.timeout(5_000))
  const { home } = await verifyForRelease(intent, use, verify)
  return { home, ms: performance.now() - begun }
}

const until = async (home: string): Promise<void> => {
  for (let look = 0; (await sign()).home !== home; look += 1) {
    if (look > 500) throw new Error(`${home} never signed`)
    await sleep(10)
  }
}

test('all are well: the first one signs, and the second one is not asked', async () => {
  expect((await sign()).home).toBe('a')
  expect(b.digests).toHaveLength(0)
  expect(changes).toEqual([])
  await homes.check(AbortSignal.timeout(1_000))
  expect(homes.warnings()).toEqual([])
})

const faults: readonly [string, Fault][] = [
  ['is unavailable', failingSigner('unavailable')],
  ['cannot use the key', failingSigner('key-unusable')],
  ['used the key, and its answer is lost', usesKeyAndTimesOut()],
  ['never answers and does not listen', deafSigner()],
  ['answers with the signature of another key', wrongKeySigner()],
  ['breaks unforeseen', brokenSigner()],
]

describe.concurrent('the first home', () => {
  test.each(faults)(
    '%s: the second signs the same bytes within a second, and one alarm says so',
    async (_what, fault) => {
      const [first, second] = [homeOf('first'), homeOf('second')]
      const seen: TakeOver[] = []
      const both = createHomes([first, second], { verify, report: (change) => seen.push(change) })
      first.fault = fault
      const { home, ms } = await sign(both)

      expect(home).toBe('second')
      expect(ms).toBeLessThan(10_000)
      expect(second.digests).toEqual(first.digests)
      expect(seen).toMatchObject([{ from: 'first', to: 'second', isBack: false }])
      expect(both.warnings()).toEqual([expect.stringContaining('the first home of a key is down')])
      // Nor is it asked again at once.
      expect((await sign(both)).ms).toBeLessThan(500)
      expect(first.digests).toHaveLength(1)
    },
  )
})

test('hands back when the first is well again, which one call at a time finds out', async () => {
  a.fault = failingSigner('unavailable')
  await Promise.all(Array.from({ length: 20 }, async () => await sign()))
  const askedWhileWell = a.digests.length
  await sleep(1_050)
  await Promise.all(Array.from({ length: 20 }, async () => await sign()))
  expect(a.digests).toHaveLength(askedWhileWell + 1)
  expect(changes).toHaveLength(1)

  a.fault = null
  await until('a')
  expect(changes).toMatchObject([
    { to: 'b', isBack: false },
    { from: 'b', to: 'a', isBack: true, error: null },
  ])
  expect(homes.warnings()).toEqual([])
})

test('the second fails while it stands in: the first is asked once more', async () => {
  a.fault = failingSigner('unavailable')
  await sign()
  a.fault = null
  b.fault = failingSigner('unavailable')
  expect((await sign()).home).toBe('a')
})

test.each([
  [
    'both are unavailable',
    failingSigner('unavailable'),
    failingSigner('unavailable'),
    'unavailable',
  ],
  ['one may have used the key', usesKeyAndTimesOut(), failingSigner('unavailable'), 'timeout'],
  [
    'one is away, one has lost the key',
    failingSigner('unavailable'),
    failingSigner('key-unusable'),
    'unavailable',
  ],
  ['both have another key', wrongKeySigner(), wrongKeySigner(), 'signature-invalid'],
])(
  'none signs, for %s: the answer is the most cautious one',
  async (_what, first, second, code) => {
    a.fault = first
    b.fault = second
    await expect(sign()).rejects.toMatchObject({ code })
  },
)

test('no home is asked when the deadline is over', async () => {
  const late = homes.sign(newIntent(key), AbortSignal.abort())
  await expect(late).rejects.toMatchObject({ code: 'unavailable' })
  expect([...a.digests, ...b.digests]).toEqual([])
})

describe('its check', () => {
  test('holds while one answers, and warns of the other', async () => {
    b.isSilent = true
    await homes.check(AbortSignal.timeout(1_000))
    expect(homes.warnings()).toEqual([expect.stringContaining('could not take over')])
    a.isSilent = true
    b.isSilent = false
    await homes.check(AbortSignal.timeout(1_000))
    expect(homes.warnings()).toEqual([expect.stringContaining('the first home of a key is down')])
  })

  test('fails when none answers', async () => {
    a.isSilent = true
    b.isSilent = true
    await expect(homes.check(AbortSignal.timeout(1_000))).rejects.toThrow('does not answer')
  })
})
