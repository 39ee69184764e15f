import { encode } from '@ipld/dag-cbor'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { OperationData, UnsignedOperation } from '../../src/plc/operation.ts'
import { renderOperation } from '../../src/plc/render.ts'
import { data, mapOf, unsignedOperation } from './arbitrary.ts'
import { plcOperation } from './build-log.ts'

const CID = 'bafyreidef3g2vvlshwzf7vxjyxg3lraahujvhtkpo7y3g4br52ft3lzwem'
const previous = plcOperation({
  rotationKeys: ['did:key:zRecovery', 'did:key:zServer'],
  verificationMethods: { atproto: 'did:key:zActor' },
})

test('an update reads like this', () => {
  const operation = {
    ...previous,
    rotationKeys: ['did:key:zServer'],
    alsoKnownAs: ['at://b\u043eb.example.com'],
    prev: CID,
  }
  expect(renderOperation({ operation, previous })).toBe(`operation: update
prev: "${CID}"
request digest: 25fcb4f6b9e2731c4146b91d65ae7eca3dd58915dc05dae5efd1af82b89e8004
changes: 3
  REMOVE rotation key at 0: "did:key:zRecovery"
  remove name at 0: "at://alice.example.com"
  add name at 0: "at://b\\u{43e}b.example.com"
before:
  rotation keys, the one of most authority first: 2
    0 "did:key:zRecovery"
    1 "did:key:zServer"
  verification methods: 1
    "atproto": "did:key:zActor"
  names: 1
    0 "at://alice.example.com"
  services: 1
    "atproto_pds": type "AtprotoPersonalDataServer", endpoint "https://pds.example.com"
after:
  rotation keys, the one of most authority first: 1
    0 "did:key:zServer"
  verification methods: 1
    "atproto": "did:key:zActor"
  names: 1
    0 "at://b\\u{43e}b.example.com"
  services: 1
    "atproto_pds": type "AtprotoPersonalDataServer", endpoint "https://pds.example.com"
`)
})

test('a genesis and a tombstone say so', () => {
  const genesis = renderOperation({ operation: previous, previous: null })
  expect(genesis).toContain('operation: genesis, which makes a new identity\nprev: none\n')
  expect(genesis).toContain('\nbefore: nothing\n')
  const tombstone = renderOperation({ operation: { type: 'plc_tombstone', prev: CID }, previous })
  expect(tombstone).toContain('operation: tombstone, which ends the identity\n')
  expect(tombstone).toContain('\nchanges: 1\n  END the identity: all its data is cleared\n')
  expect(tombstone.endsWith('\nafter: nothing\n')).toBe(true)
})

test('the order of a map, which the bytes do not keep, is not in the text', () => {
  const one = { ...previous, verificationMethods: { a: 'x', b: 'y' } }
  const other = { ...previous, verificationMethods: { b: 'y', a: 'x' } }
  expect(renderOperation({ operation: one, previous: other })).toBe(
    renderOperation({ operation: other, previous: one }),
  )
})

describe('total: other bytes, other text', () => {
  type Input = { operation: UnsignedOperation; previous: OperationData | null }

  // A few awkward pieces and short lists, so that thousands of inputs nearly collide.
  const piece = fc.constantFrom(
    '',
    'a',
    '\\',
    '"',
    '\n',
    ' ',
    '\u200b',
    '\u202e',
    '\u0430',
    '\\u{200b}',
    '\\n',
    '"\n    1 "',
    '", endpoint "',
    '": "',
    'names: 0',
    '\ud83d\ude00',
    '\\u{1f600}',
    'a'.repeat(290),
    '" (cut: 301 characters, sha-256 ',
    '\n  names: 1\n    0 "a',
  )
  const nearText = fc.array(piece, { maxLength: 2 }).map((pieces) => pieces.join(''))
  const nearId = fc.constantFrom('a', 'b', 'a"', 'a\\', '__proto__')
  const nearData: fc.Arbitrary<OperationData> = fc.record({
    rotationKeys: fc.array(nearText, { maxLength: 2 }),
    verificationMethods: mapOf(nearText, nearId),
    alsoKnownAs: fc.array(nearText, { maxLength: 2 }),
    services: mapOf(fc.record({ type: nearText, endpoint: nearText }), nearId),
  })
  const nearInput: fc.Arbitrary<Input> = fc
    .tuple(nearData, fc.option(nearData), fc.constantFrom(null, CID))
    .map(([fields, previous, prev]) => ({
      operation: { type: 'plc_operation', ...fields, prev },
      previous,
    }))
  const anyInput: fc.Arbitrary<Input> = fc.record({
    operation: unsignedOperation,
    previous: fc.option(data),
  })

  /** What the input is, for comparison: `previous` encoded as the operation is. */
  const identity = (input: Input) =>
    Buffer.from(encode([input.operation, input.previous])).toString('hex')

  test.each([
    { what: 'near misses', input: nearInput, numRuns: 20_000 },
    { what: 'any inputs', input: anyInput, numRuns: 5000 },
  ])('no two of $numRuns $what share a text, even without the digest', ({ input, numRuns }) => {
    const seen = new Map<string, string>()
    fc.assert(
      fc.property(input, (each) => {
        const text = renderOperation(each)
        const bare = text.replace(/^request digest: .*\n/m, '')
        const known = seen.get(bare)
        seen.set(bare, identity(each))
        expect(known ?? identity(each)).toBe(identity(each))
        expect(text).toMatch(/^[ -~\n]*$/)
      }),
      { numRuns },
    )
    expect(seen.size).toBeGreaterThan(numRuns / 2)
  })

  test('a change of one character anywhere in a text changes the text', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', minLength: 1, maxLength: 600 }),
        fc.nat(),
        fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
        (name, at, other) => {
          const characters = Array.from(name)
          const changed = characters.with(at % characters.length, other).join('')
          fc.pre(changed !== name)
          const textOf = (name: string) =>
            renderOperation({ operation: { ...previous, alsoKnownAs: [name] }, previous }).replace(
              /^request digest: .*\n/m,
              '',
            )
          expect(textOf(changed)).not.toBe(textOf(name))
        },
      ),
      { numRuns: 2000 },
    )
  })
})
