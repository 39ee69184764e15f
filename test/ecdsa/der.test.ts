import * as fc from 'fast-check'
import { createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { compactToDer, derToCompact } from '../../src/ecdsa/der.ts'
import { normaliseS } from '../../src/ecdsa/release.ts'
import { spkiOf } from '../../src/ecdsa/spki.ts'
import { curveOrder } from '../../src/plc/compact.ts'
import type { Curve } from '../../src/plc/did-key.ts'
import { isLowS } from '../../src/plc/signature.ts'
import { keyNamed, p256KeyNamed } from '../plc/build-log.ts'
import { flipS, signatureOf, toInteger } from '../plc/scalars.ts'

const k256 = await keyNamed('server')
const p256 = await p256KeyNamed('server')
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const bytesOf = (hex: string) => Uint8Array.from(Buffer.from(hex, 'hex'))
const message = new TextEncoder().encode('an operation')
const NAMES = { 'K-256': 'secp256k1', 'P-256': 'P-256' } as const
const CURVES: Curve[] = ['K-256', 'P-256']

describe('DER', () => {
  test.each([
    { r: 1n, s: 1n, der: '3006020101020101' },
    { r: 0x7fn, s: 0x80n, der: '300702017f02020080' },
    { r: 2n ** 255n, s: 1n, der: `302602210080${'00'.repeat(31)}020101` },
  ])('r $r and s $s', ({ r, s, der }) => {
    expect(hex(compactToDer(signatureOf(r, s)))).toBe(der)
    expect(derToCompact(bytesOf(der))).toEqual(signatureOf(r, s))
  })

  test('both ways give the same again', () => {
    const scalar = fc.bigInt({ min: 1n, max: 2n ** 256n - 1n })
    fc.assert(
      fc.property(scalar, fc.oneof(scalar, fc.bigInt({ min: 1n, max: 300n })), (r, s) => {
        const compact = signatureOf(r, s)
        expect(derToCompact(compactToDer(compact))).toEqual(compact)
      }),
    )
  })

  test('whatever is accepted is the one encoding of what it says', () => {
    const good = compactToDer(signatureOf(2n ** 255n, 3n ** 100n))
    fc.assert(
      fc.property(
        fc.nat({ max: good.length - 1 }),
        fc.integer({ min: 1, max: 255 }),
        (at, flip) => {
          const changed = good.with(at, good[at]! ^ flip)
          expect(encodingAgain(changed) ?? changed).toEqual(changed)
        },
      ),
      { numRuns: 3000 },
    )
  })

  test.each([
    { what: 'nothing', der: '' },
    { what: 'a byte after it', der: '300602010102010100' },
    { what: 'a byte inside after s', der: '300702010102010100' },
    { what: 'a length that lies', der: '3007020101020101' },
    { what: 'a long-form length', der: '308106020101020101' },
    { what: 'an indefinite length', der: '30800201010201010000' },
    { what: 'a negative r', der: '3006020181020101' },
    { what: 'a zero in front that is not needed', der: '300702020001020101' },
    { what: 'two zeros in front', der: '30080203000080020101' },
    { what: 'r zero', der: '3006020100020101' },
    { what: 's zero', der: '3006020101020100' },
    { what: 'an empty integer', der: '30050200020101' },
    { what: 'another tag for r', der: '3006030101020101' },
    { what: 'another tag for the sequence', der: '3106020101020101' },
    { what: 'only r', der: '3003020101' },
    { what: 's that runs over the end', der: '3006020101020201' },
    { what: 'an r of 33 bytes', der: `3026022101${'00'.repeat(32)}020101` },
  ])('$what is refused', ({ der }) => {
    expect(() => derToCompact(bytesOf(der))).toThrow(
      expect.objectContaining({ name: 'EcdsaError', code: 'bad-signature' }),
    )
  })

  test.each([signatureOf(0n, 1n), signatureOf(1n, 0n), new Uint8Array(63), new Uint8Array(65)])(
    'no DER for a signature out of range or of another length',
    (compact) => {
      expect(() => compactToDer(compact)).toThrow('no ECDSA signature')
    },
  )

  test.each(CURVES)('OpenSSL reads and writes the same on %s', (curve) => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: NAMES[curve] })
    const der = sign('sha256', message, privateKey)
    expect(compactToDer(derToCompact(der))).toEqual(Uint8Array.from(der))
    const low = compactToDer(normaliseS(curve, derToCompact(der)))
    expect(verify('sha256', message, publicKey, low)).toBe(true)
  })
})

describe.each(CURVES)('low-S for release on %s', (curve) => {
  const n = toInteger(curveOrder(curve))

  test('a low S stays and a high S is flipped', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 1n, max: n - 1n }),
        fc.bigInt({ min: 1n, max: n / 2n }),
        (r, s) => {
          const low = signatureOf(r, s)
          expect(normaliseS(curve, low)).toEqual(low)
          expect(normaliseS(curve, flipS(curve, low))).toEqual(low)
          expect(isLowS(low, curve)).toBe(true)
        },
      ),
    )
  })

  test.each([
    signatureOf(0n, 1n),
    signatureOf(1n, 0n),
    signatureOf(n, 1n),
    signatureOf(1n, n),
    new Uint8Array(64).fill(0xff),
    new Uint8Array(63).fill(1),
    new Uint8Array(65).fill(1),
  ])('what is no signature is refused', (compact) => {
    expect(() => normaliseS(curve, compact)).toThrow(
      expect.objectContaining({ code: 'bad-signature' }),
    )
  })

  test('the input is left alone', () => {
    const high = signatureOf(1n, n - 1n)
    normaliseS(curve, high)
    expect(high).toEqual(signatureOf(1n, n - 1n))
  })
})

describe('SPKI', () => {
  test.each([
    { curve: 'K-256', key: k256, length: 88 },
    { curve: 'P-256', key: p256, length: 91 },
  ] as const)('of $curve is what OpenSSL writes, $length bytes', ({ key, length }) => {
    const spki = spkiOf(key.did())
    expect(spki).toHaveLength(length)
    const parsed = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' })
    expect(Uint8Array.from(parsed.export({ format: 'der', type: 'spki' }))).toEqual(spki)
    expect(spki.at(-65)).toBe(4)
  })

  test('of what is no key is refused', () => {
    expect(() => spkiOf('did:key:zJunk')).toThrow(expect.objectContaining({ code: 'bad-key' }))
  })
})

function encodingAgain(der: Uint8Array): Uint8Array | null {
  try {
    return compactToDer(derToCompact(der))
  } catch {
    return null
  }
}
