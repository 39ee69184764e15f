import * as fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { verifyWithAtproto } from '../../src/ecdsa/atproto.ts'
import { derToCompact, compactToDer } from '../../src/ecdsa/der.ts'
import { curveOrder } from '../../src/plc/compact.ts'
import type { Curve } from '../../src/plc/did-key.ts'
import { attachSignature, signingBytes } from '../../src/plc/encode.ts'
import { PlcError } from '../../src/plc/error.ts'
import {
  type EcdsaVerify,
  formatSignature,
  isLowS,
  parseSignature,
  verifyOperationSignature,
} from '../../src/plc/signature.ts'
import { keyNamed, p256KeyNamed, plcOperation } from './build-log.ts'
import { flipS, signatureOf, toBytes, toInteger } from './scalars.ts'

const CURVES: Curve[] = ['K-256', 'P-256']
const k256 = await keyNamed('server')
const p256 = await p256KeyNamed('server')
const operation = plcOperation({ rotationKeys: [k256.did(), p256.did()] })
const compact = await k256.sign(signingBytes(operation))
const sig = formatSignature(compact)

describe('section 2.3: the text of a signature', () => {
  test('64 bytes are 86 characters, and back', () => {
    expect(sig).toHaveLength(86)
    expect(parseSignature(sig)).toEqual(Uint8Array.from(compact))
  })

  test.each([
    { what: 'padding', bad: `${sig}==` },
    { what: 'a line feed after it', bad: `${sig}\n` },
    { what: 'a carriage return inside', bad: `${sig.slice(0, 40)}\r${sig.slice(41)}` },
    { what: 'a space before it', bad: ` ${sig.slice(1)}` },
    { what: 'a missing character', bad: sig.slice(1) },
    { what: 'a character too many', bad: `${sig}A` },
    { what: 'the other base64 alphabet', bad: `+/${sig.slice(2)}` },
    { what: 'nothing', bad: '' },
    { what: 'DER', bad: Buffer.from(compactToDer(compact)).toString('base64url') },
    { what: 'hex', bad: Buffer.from(compact).toString('hex') },
  ])('$what is refused', ({ bad }) => {
    expect(() => parseSignature(bad)).toThrow(expect.objectContaining({ code: 'malformed' }))
  })

  test('of the 64 last characters only A, Q, g and w carry no stray bits', () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const accepted = alphabet.split('').filter((last) => isAccepted(`${sig.slice(0, 85)}${last}`))
    expect(accepted.join('')).toBe('AQgw')
  })

  test('only one text stands for given bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 64, maxLength: 64 }), (bytes) => {
        expect(parseSignature(formatSignature(bytes))).toEqual(bytes)
      }),
    )
  })

  test.each([0, 63, 65, 70])('%i bytes are no compact signature', (length) => {
    expect(() => formatSignature(new Uint8Array(length))).toThrow('64 bytes')
  })
})

describe.each(CURVES)('section 2.3: low-S on %s', (curve) => {
  const n = toInteger(curveOrder(curve))
  const half = n / 2n

  test.each([
    { r: 1n, s: 1n, strict: true },
    { r: n - 1n, s: half, strict: true },
    { r: 1n, s: half + 1n, strict: false },
    { r: 1n, s: n - 1n, strict: false },
    { r: 1n, s: n, strict: false },
    { r: 0n, s: 1n, strict: false },
    { r: 1n, s: 0n, strict: false },
    { r: n, s: 1n, strict: false },
    { r: 2n ** 256n - 1n, s: 1n, strict: false },
    { r: 1n, s: 2n ** 256n - 1n, strict: false },
  ])('r $r and s $s: $strict', ({ r, s, strict }) => {
    expect(isLowS(signatureOf(r, s), curve)).toBe(strict)
  })

  test('63 and 65 bytes are not', () => {
    expect(isLowS(new Uint8Array(63).fill(1), curve)).toBe(false)
    expect(isLowS(new Uint8Array(65).fill(1), curve)).toBe(false)
  })
})

test('the orders are those of the curves: n times the base point is nothing', () => {
  expect(toInteger(curveOrder('K-256'))).toBe(2n ** 256n - 0x14551231950b75fc4402da1732fc9bebfn)
  expect(toInteger(curveOrder('P-256'))).toBe(
    2n ** 256n - 2n ** 224n + 2n ** 192n - 0x4319055258e8617b0c46353d039cdaafn,
  )
})

describe('section 2.4: who signed', () => {
  const signed = attachSignature(operation, compact)
  const stranger = 'did:key:zDnaefqvvRQsME5c7LvxdghHeARNWEFbg2PfrAYiHhKVf9rH9'
  const verify = (keys: string[], by = signed) =>
    verifyOperationSignature(by, keys, verifyWithAtproto)

  test('the index is the lowest one whose key made the signature', async () => {
    expect(await verify([k256.did()])).toBe(0)
    expect(await verify([p256.did(), stranger, k256.did(), k256.did()])).toBe(2)
    const byP256 = attachSignature(operation, await p256.sign(signingBytes(operation)))
    expect(await verify([k256.did(), p256.did()], byP256)).toBe(1)
  })

  test.each([{ keys: [] }, { keys: [p256.did(), stranger] }])(
    'none of $keys signed',
    async ({ keys }) => {
      await expect(verify(keys)).rejects.toMatchObject({ code: 'bad-signature' })
    },
  )

  test('a key that cannot be parsed fails it when reached, and not after a match', async () => {
    await expect(verify(['did:key:zJunk', k256.did()])).rejects.toMatchObject({ code: 'bad-key' })
    expect(await verify([k256.did(), 'did:key:zJunk'])).toBe(0)
  })

  test.each([k256, p256])('the high-S twin of a good signature is refused', async (key) => {
    const good = await key.sign(signingBytes(operation))
    const curve = key === k256 ? 'K-256' : 'P-256'
    const twin = attachSignature(operation, flipS(curve, good))
    expect(await verify([key.did()], attachSignature(operation, good))).toBe(0)
    await expect(verify([key.did()], twin)).rejects.toMatchObject({ code: 'bad-signature' })
  })

  test('the strict rules run before the primitive, which is not asked', async () => {
    const primitive = vi.fn<EcdsaVerify>(async () => true)
    const high = attachSignature(operation, flipS('K-256', compact))
    const zero = attachSignature(operation, new Uint8Array(64))
    for (const bad of [high, zero, { ...signed, sig: `${sig}=` }]) {
      await expect(verifyOperationSignature(bad, [k256.did()], primitive)).rejects.toThrow(PlcError)
    }
    expect(primitive).not.toHaveBeenCalled()
    expect(await verifyOperationSignature(signed, [k256.did()], primitive)).toBe(0)
  })

  test('any changed byte of the signed operation fails it', async () => {
    const bytes = signingBytes(operation)
    const key = k256.did()
    for (let index = 0; index < bytes.length; index += 7) {
      const changed = bytes.with(index, bytes[index]! ^ 1)
      expect(await verifyWithAtproto(key, changed, compact)).toBe(false)
    }
    expect(await verifyWithAtproto(key, bytes, compact)).toBe(true)
  })

  test('the helper of these tests flips S and back', () => {
    expect(flipS('K-256', flipS('K-256', compact))).toEqual(Uint8Array.from(compact))
    expect(derToCompact(compactToDer(compact))).toEqual(Uint8Array.from(compact))
    expect(toBytes(toInteger(compact.subarray(0, 32)))).toEqual(
      Uint8Array.from(compact.subarray(0, 32)),
    )
  })
})

function isAccepted(text: string): boolean {
  try {
    return parseSignature(text).length === 64
  } catch {
    return false
  }
}
