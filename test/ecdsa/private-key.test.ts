import { randomBytes } from 'node:crypto'
import { P256Keypair, Secp256k1Keypair } from '@atproto/crypto'
import { describe, expect, test } from 'vitest'
import { openK256Sign, opensslVerifier } from '../../src/ecdsa/native.ts'
import { openPrivateKey, randomSecret } from '../../src/ecdsa/private-key.ts'
import { isLowS } from '../../src/plc/compact.ts'

const bytes = (hex: string) => Uint8Array.from(Buffer.from(hex, 'hex'))
const smallest = Uint8Array.from([...new Uint8Array(31), 1])
const largest = bytes('fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140')

describe('K-256 by libsecp256k1', () => {
  const native = openK256Sign()

  test.skipIf(native === null)(
    'gives the signatures of the atproto library, byte for byte',
    async () => {
      for (let n = 0; n < 300; n += 1) {
        const secret = n === 0 ? smallest : n === 1 ? largest : randomSecret('K-256')
        const [fast, slow] = [
          await openPrivateKey('K-256', secret, native),
          await openPrivateKey('K-256', secret, null),
        ]
        expect(fast.did).toBe(slow.did)
        for (const text of [randomBytes(n), Buffer.alloc(0)]) {
          const signature = await fast.sign(text)
          expect(signature).toEqual(await slow.sign(text))
          expect(isLowS(signature, 'K-256')).toBe(true)
        }
      }
    },
  )
})

const message = Buffer.from('a message')

describe.each(['K-256', 'P-256'] as const)('a %s key in memory', (curve) => {
  test('has the did:key that the atproto library gives, and signs for OpenSSL', async () => {
    const secret = randomSecret(curve)
    const key = await openPrivateKey(curve, secret)
    const keypair =
      curve === 'K-256' ? await Secp256k1Keypair.import(secret) : await P256Keypair.import(secret)
    expect(key.did).toBe(keypair.did())
    const signature = await key.sign(message)
    expect(isLowS(signature, curve)).toBe(true)
    expect(await opensslVerifier()(key.did, message, signature)).toBe(true)
    expect(await key.sign(message)).toEqual(signature)
  })

  test('outlives the buffer that it came in, and signs no more once it is cleared', async () => {
    const secret = randomSecret(curve)
    const key = await openPrivateKey(curve, secret)
    secret.fill(0)
    const signature = await key.sign(message)
    expect(await opensslVerifier()(key.did, message, signature)).toBe(true)
    key.clear()
    await expect(key.sign(message)).rejects.toThrow(/key/)
  })

  test.each([
    ['zero', new Uint8Array(32)],
    ['above the order', new Uint8Array(32).fill(0xff)],
    ['too short', new Uint8Array(31).fill(1)],
    ['too long', new Uint8Array(33).fill(1)],
  ])('is none when it is %s', async (_what, secret) => {
    await expect(openPrivateKey(curve, secret)).rejects.toMatchObject({ code: 'bad-key' })
  })
})

test('the order itself is refused, the number before it is the largest key', async () => {
  const order = 'fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141'
  await expect(openPrivateKey('K-256', bytes(order))).rejects.toMatchObject({ code: 'bad-key' })
  expect((await openPrivateKey('K-256', bytes(`${order.slice(0, -1)}0`))).did).toMatch(/^did:key:/)
})
