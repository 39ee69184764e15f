import { describe, expect, test } from 'vitest'
import { verifyWithAtproto } from '../../../src/ecdsa/atproto.ts'
import { isLowS } from '../../../src/plc/compact.ts'
import { verifyForRelease } from '../../../src/signer/release.ts'
import { missingForPkcs11 } from '../../support/softhsm.ts'
import { newIntent, signAndRelease, within } from './ask.ts'
import { openBench } from './harness.ts'

const missing = missingForPkcs11()
const SIGNATURES = 10_000
const CALLERS = 64

describe.skipIf(missing !== null)(`SoftHSM2 signs (needs ${missing ?? 'nothing more'})`, () => {
  test.each(['k', 'p'] as const)(
    '10,000 times with %s: 64 bytes, low-S, verified, short r and s among them',
    async (name) => {
      const bench = await openBench()
      const key = { ...bench[name], uri: bench.uri(`object=${name}`, bench.module) }
      const signer = await bench.open().openSigner(key)
      let left = SIGNATURES
      let shortR = 0
      let shortS = 0
      async function call(): Promise<void> {
        while (left > 0) {
          left -= 1
          const compact = await signAndRelease(signer, key)
          if (compact.length !== 64 || !isLowS(compact, key.curve)) throw new Error(`no. ${left}`)
          if (compact[0] === 0) shortR += 1
          if (compact[32] === 0) shortS += 1
        }
      }
      await Promise.all(Array.from({ length: CALLERS }, call))
      expect(left).toBe(0)
      expect(shortR).toBeGreaterThan(0)
      expect(shortS).toBeGreaterThan(0)
    },
  )

  test('and JavaScript that shares nothing with it agrees', async () => {
    const bench = await openBench()
    const backend = bench.open()
    for (const key of [bench.k, bench.p]) {
      const signer = await backend.openSigner(key)
      for (let n = 0; n < 50; n += 1) {
        const intent = newIntent(key)
        const use = await signer.sign(intent, within(5_000))
        const released = await verifyForRelease(intent, use, verifyWithAtproto)
        expect(released.compact).toHaveLength(64)
      }
    }
  })

  test('with both keys of a token in one child, logged in once', async () => {
    const bench = await openBench()
    const backend = bench.open()
    const k = await backend.openSigner(bench.k)
    const p = await backend.openSigner(bench.p)
    await Promise.all([signAndRelease(k, bench.k), signAndRelease(p, bench.p)])
    expect(backend.health()).toHaveLength(1)
    expect(await bench.shim.count('C_Initialize')).toBe(1)
    expect(await bench.shim.count('C_Login')).toBe(1)
    await k.close()
    await signAndRelease(p, bench.p)
    await p.close()
    expect(backend.health()).toHaveLength(0)
  })

  test('with many digests at a time in few messages, and each signature once', async () => {
    const bench = await openBench()
    const signer = await bench.open().openSigner(bench.p)
    await Promise.all(Array.from({ length: 200 }, async () => signAndRelease(signer, bench.p)))
    expect(await bench.shim.count('C_Sign')).toBe(200)
  })

  test('whether the token spells its public key as 67 bytes or as 65', async () => {
    const bench = await openBench()
    await bench.shim.set({ on: 'C_GetAttributeValue', action: 'raw-point' })
    const backend = bench.open()
    for (const key of [bench.k, bench.p]) {
      expect(await signAndRelease(await backend.openSigner(key), key)).toHaveLength(64)
    }
  })

  test('with fewer sessions where the token allows fewer', async () => {
    const bench = await openBench()
    await bench.shim.set({ on: 'C_GetTokenInfo', action: 'max-sessions', argument: 2 })
    const signer = await bench.open({ sessions: 4 }).openSigner(bench.p)
    await Promise.all(Array.from({ length: 50 }, async () => signAndRelease(signer, bench.p)))
    expect(await bench.shim.count('C_OpenSession')).toBe(2)
  })
})
