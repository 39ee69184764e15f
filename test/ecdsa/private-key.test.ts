import { P256Keypair, Secp256k1Keypair } from '@atproto/crypto'
import { describe, expect, test } from 'vitest'
import { opensslVerifier } from '../../src/ecdsa/native.ts'
import { openPrivateKey, randomSecret } from '../../src/ecdsa/private-key.ts'
import { isLowS } from '../../src/plc/compact.ts'

const bytes = (hex: string) => Uint8Array.from(Buffer.from(hex, 'hex'))
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
