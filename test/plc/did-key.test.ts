import { base58btc } from 'multiformats/bases/base58'
import { describe, expect, test } from 'vitest'
import {
  type Curve,
  curveOf,
  formatDidKey,
  parseRotationKey,
  uncompressedPoint,
} from '../../src/plc/did-key.ts'
import { keyNamed, p256KeyNamed } from './build-log.ts'

const keys: { curve: Curve; did: string }[] = [
  { curve: 'K-256', did: (await keyNamed('server')).did() },
  { curve: 'K-256', did: (await keyNamed('recovery')).did() },
  { curve: 'P-256', did: (await p256KeyNamed('server')).did() },
  { curve: 'P-256', did: (await p256KeyNamed('recovery')).did() },
]
const multicodec = { 'K-256': [0xe7, 0x01], 'P-256': [0x80, 0x24] }

describe.each(keys)('section 1: the $curve key $did', ({ curve, did }) => {
  const { publicKey } = parseRotationKey(did)
  const spell = (point: Iterable<number>) =>
    `did:key:${base58btc.encode(Uint8Array.from([...multicodec[curve], ...point]))}`

  test('is parsed and formatted again', () => {
    expect(parseRotationKey(did)).toEqual({ curve, publicKey })
    expect(publicKey).toHaveLength(33)
    expect(curveOf(did)).toBe(curve)
    expect(formatDidKey(curve, publicKey)).toBe(did)
    expect(formatDidKey(curve, uncompressedPoint(did))).toBe(did)
    expect(spell(publicKey)).toBe(did)
  })

  test('is parsed into bytes of the caller', () => {
    const before = publicKey.slice()
    parseRotationKey(did).publicKey.fill(0)
    uncompressedPoint(did).fill(0)
    expect(parseRotationKey(did).publicKey).toEqual(before)
    expect(formatDidKey(curve, uncompressedPoint(did))).toBe(did)
  })

  test.each([
    { what: 'uncompressed', bad: spell(uncompressedPoint(did)) },
    { what: 'hybrid', bad: spell([6, ...publicKey.subarray(1)]) },
    { what: 'off the curve', bad: spell(offCurve(curve, publicKey)) },
    { what: 'the zero point', bad: spell(new Uint8Array(33)) },
    { what: 'x above the field', bad: spell([2, ...new Uint8Array(32).fill(0xff)]) },
    { what: 'a byte short', bad: spell(publicKey.subarray(0, 32)) },
    { what: 'a byte too long', bad: spell([...publicKey, 0]) },
    { what: 'under another multicodec', bad: did.replace('did:key:z', 'did:key:z1') },
    { what: 'in another base', bad: `did:key:f${Buffer.from(publicKey).toString('hex')}` },
    { what: 'without did:key', bad: did.slice('did:key:'.length) },
    { what: 'with a fragment', bad: `${did}#atproto` },
    { what: 'with a space', bad: ` ${did}` },
    { what: 'with a line feed', bad: `${did}\n` },
    { what: 'in capitals', bad: did.replace('did:key', 'DID:KEY') },
  ])('$what is refused', ({ bad }) => {
    expect(() => parseRotationKey(bad)).toThrow(expect.objectContaining({ code: 'bad-key' }))
  })
})

test('an Ed25519 key is no rotation key', () => {
  const did = 'did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK'
  expect(() => parseRotationKey(did)).toThrow(expect.objectContaining({ code: 'bad-key' }))
})

test('a point of one curve is not formatted as one of the other', () => {
  const { publicKey } = parseRotationKey(keys[0]!.did)
  expect(() => formatDidKey('K-256', new Uint8Array(33))).toThrow('not a public key on K-256')
  expect(() => formatDidKey('K-256', publicKey.subarray(1))).toThrow('not a public key on K-256')
})

test('a key of a megabyte is refused without being decoded', () => {
  const start = performance.now()
  expect(() => curveOf(`did:key:z${'z'.repeat(1_000_000)}`)).toThrow('not a did:key')
  expect(performance.now() - start).toBeLessThan(1000)
})

/** About every second x has no point: the next one that has none. */
function offCurve(curve: Curve, publicKey: Uint8Array): Uint8Array {
  for (let last = 0; ; last++) {
    const candidate = publicKey.with(32, last)
    try {
      formatDidKey(curve, candidate)
    } catch {
      return candidate
    }
  }
}
