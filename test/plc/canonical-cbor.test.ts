import { decode, encode } from '@ipld/dag-cbor'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readCanonical } from '../../src/plc/canonical-cbor.ts'

// The fast reader beside the library: what it reads is what the library reads, from the one encoding of it.

const ascii = fc.string({ unit: 'binary-ascii', maxLength: 300 })
const bytes = fc.uint8Array({ maxLength: 300 })
const number = fc.oneof(
  fc.nat(300),
  fc.nat(),
  fc.maxSafeNat(),
  fc.constantFrom(23, 24, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER),
)
const { plain } = fc.letrec((tie) => ({
  plain: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.oneof(ascii, bytes, number, fc.boolean(), fc.constant(null)),
    fc.array(tie('plain'), { maxLength: 30 }),
    fc.dictionary(
      ascii.filter((name) => name !== '__proto__' && name !== '/'),
      tie('plain'),
      { maxKeys: 30, noNullPrototype: true },
    ),
  ),
}))

/** All that the library can tell apart from it, or that is not plain. */
const anything = fc.oneof(
  plain,
  fc.string({ unit: 'grapheme' }),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.dictionary(fc.string(), fc.string()),
)

/** What the library reads, where the bytes are the one encoding of it. */
function readByLibrary(message: Uint8Array): { value: unknown } | null {
  try {
    const value: unknown = decode(message)
    return Buffer.compare(encode(value), message) === 0 ? { value } : null
  } catch {
    return null
  }
}

describe('the fast reader', () => {
  test('reads plain values whole', () => {
    const isWhole = (value: unknown) => {
      expect(readCanonical(encode(value))).toEqual(value)
    }
    fc.assert(fc.property(plain, isWhole), { numRuns: 2000 })
    expect(readCanonical(encode({ a: 1 }))).toEqual({ a: 1 })
  })

  test('reads nothing that the library does not read the same, from the same bytes', () => {
    const change = fc.record({
      at: fc.nat(),
      remove: fc.nat(2),
      put: fc.oneof(fc.uint8Array({ maxLength: 2 }), fc.constantFrom(...odd)),
    })
    fc.assert(
      fc.property(anything, fc.option(change), (value, changed) => {
        const message = spoiled(encode(value), changed)
        const read = readCanonical(message)
        expect(read === undefined ? null : { value: read }).toEqual(
          read === undefined ? null : readByLibrary(message),
        )
      }),
      { numRuns: 10_000 },
    )
  })

  test.each([
    ['a number in more bytes than it needs', '1817'],
    ['a length in more bytes than it needs', '780161'],
    ['names that descend', 'a2616201616102'],
    ['a longer name before a shorter one', 'a262616201616302'],
    ['a name twice', 'a2616101616102'],
    ['the empty name twice', 'a260016002'],
    ['a name that is bytes', 'a1416101'],
    ['a name that would set a prototype', `a169${Buffer.from('__proto__').toString('hex')}a0`],
    ['a list without a length', '9f01ff'],
    ['a link', `d82a5825000171122${'0'.repeat(65)}`],
    ['a float', 'fb3ff8000000000000'],
    ['undefined', 'f7'],
    ['a text that is not ASCII', '62c3a9'],
    ['a text that ends too soon', '6361'],
    ['bytes that end too soon', '4361'],
    ['a number above all that are safe', '1b0020000000000000'],
    ['two values', '0101'],
    ['nothing', ''],
    ['lists without end', '81'.repeat(100_000)],
  ])('leaves %s to the library', (_, hex) => {
    expect(readCanonical(Buffer.from(hex, 'hex'))).toBeUndefined()
  })

  test('hands out memory of its own', () => {
    const message = encode({ of: Uint8Array.of(1, 2, 3) })
    const { of } = readCanonical(message) as { of: Uint8Array }
    message.fill(0)
    expect(of).toEqual(Uint8Array.of(1, 2, 3))
    expect(of.buffer.byteLength).toBe(3)
  })
})

const odd = [
  'f6',
  'f7',
  'a0',
  '80',
  '1800',
  '190001',
  '5800',
  '6161',
  'c0',
  'fb0000000000000000',
].map((hex) => new Uint8Array(Buffer.from(hex, 'hex')))

function spoiled(
  message: Uint8Array,
  change: { at: number; remove: number; put: Uint8Array } | null,
): Uint8Array {
  if (change === null) return message
  const at = change.at % (message.length + 1)
  return Uint8Array.from([
    ...message.subarray(0, at),
    ...change.put,
    ...message.subarray(at + change.remove),
  ])
}
