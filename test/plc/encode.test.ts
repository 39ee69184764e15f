import { hash } from 'node:crypto'
import { encode } from '@ipld/dag-cbor'
import * as fc from 'fast-check'
import { CID } from 'multiformats/cid'
import { describe, expect, test } from 'vitest'
import {
  attachSignature,
  cidOf,
  decodeSignedOperation,
  decodeUnsignedOperation,
  didOfGenesis,
  encodeSignedOperation,
  requestDigest,
  signingBytes,
  withoutSignature,
  withSignature,
} from '../../src/plc/encode.ts'
import { PlcError } from '../../src/plc/error.ts'
import { keyNamed, plcOperation, sign } from './build-log.ts'
import { plcOperation as anyPlcOperation, unsignedOperation } from './arbitrary.ts'

const key = await keyNamed('server')
const operation = plcOperation({ rotationKeys: [key.did()] })
const signed = await sign(operation, key)
const COMPACT = new Uint8Array(64).fill(7)

describe('section 2: encoding', () => {
  test('1: the bytes are the DAG-CBOR of the object, and prev is a text, not a link', () => {
    const prev = cidOf(signed)
    const bytes = signingBytes(plcOperation({ prev }))
    expect(bytes).toEqual(new Uint8Array(encode({ ...plcOperation(), prev })))
    expect(Buffer.from(bytes).includes(prev)).toBe(true)
  })

  test('1: undefined throws', () => {
    const broken = { ...operation, prev: undefined } as never
    expect(() => signingBytes(broken)).toThrow(PlcError)
  })

  test('2: a sig is absent from the signed bytes, and null is not absent', () => {
    expect(Buffer.from(signingBytes(operation)).includes('sig')).toBe(false)
    expect(() => signingBytes(signed as never)).toThrow(PlcError)
    expect(() => signingBytes({ ...operation, sig: null } as never)).toThrow(PlcError)
    expect(() => signingBytes({ ...operation, sig: undefined } as never)).toThrow(PlcError)
  })

  test('2: the request digest is the SHA-256 of the signing bytes', () => {
    const bytes = signingBytes(operation)
    expect(Buffer.from(requestDigest(bytes)).toString('hex')).toBe(hash('sha256', bytes, 'hex'))
  })

  test('5: the CID is version 1, dag-cbor, sha-256, base32 of the signed operation', () => {
    const cid = CID.parse(cidOf(signed))
    expect(cid).toMatchObject({ version: 1, code: 0x71, multihash: { code: 0x12 } })
    expect(cid.toString()).toBe(cidOf(signed))
    expect(Buffer.from(cid.multihash.digest).toString('hex')).toBe(
      hash('sha256', encode(signed), 'hex'),
    )
  })

  test('6: the DID is 32 characters long and is the start of the hash of the genesis', () => {
    const did = didOfGenesis(signed)
    expect(did).toMatch(/^did:plc:[a-z2-7]{24}$/)
    const digest = Buffer.from(hash('sha256', encode(signed), 'hex'), 'hex')
    expect(`b${did.slice(8)}`).toBe(base32(digest).slice(0, 25))
  })

  test('7: the sig adds 92 bytes', () => {
    const length = signingBytes(operation).length
    expect(encodeSignedOperation(signed).length).toBe(length + 92)
  })

  test('7: 3908 unsigned bytes are decoded, 3909 are not', () => {
    expect(decodeUnsignedOperation(sizedMessage(3908)).bytes).toHaveLength(3908)
    expect(refusal(() => decodeUnsignedOperation(sizedMessage(3909)))).toBe('too-large')
  })

  test('the parser guard is 100 kB for signed operations, in bytes rather than characters', () => {
    const big = { ...plcOperation({ alsoKnownAs: ['é'.repeat(49_500)] }), sig: signed.sig }
    expect(decodeSignedOperation(encodeSignedOperation(big))).toEqual(big)
    const bigger = { ...plcOperation({ alsoKnownAs: ['é'.repeat(50_000)] }), sig: signed.sig }
    expect(refusal(() => encodeSignedOperation(bigger))).toBe('too-large')
    expect(refusal(() => decodeSignedOperation(encode(bigger)))).toBe('too-large')
  })

  test('ids "/" and "bytes" of one value, which the encoder takes for a link, are refused', () => {
    const verificationMethods = { '/': 'did:key:zSame', bytes: 'did:key:zSame' }
    expect(refusal(() => signingBytes(plcOperation({ verificationMethods })))).toBe('malformed')
    expect(
      signingBytes(plcOperation({ verificationMethods: { '/': 'a', bytes: 'b' } })),
    ).toBeTruthy()
  })
})

describe('decoding is strict', () => {
  const good = Buffer.from(signingBytes(operation)).toString('latin1')
  const bytesOf = (latin1: string) => new Uint8Array(Buffer.from(latin1, 'latin1'))

  test('the canonical bytes are decoded, into a buffer of their own', () => {
    const message = bytesOf(good)
    const decoded = decodeUnsignedOperation(message)
    message.fill(0)
    expect({ ...decoded.operation }).toEqual(operation)
    expect(decoded.bytes).toEqual(bytesOf(good))
  })

  test.each([
    { what: 'nothing', message: '' },
    { what: 'a trailing byte', message: `${good}\x00` },
    { what: 'a missing byte', message: good.slice(0, -1) },
    { what: 'an indefinite map', message: `\xbf${good.slice(1)}\xff` },
    { what: 'an indefinite text', message: good.replace('\x64prev', '\x7f\x64prev\xff') },
    { what: 'a length in more bytes than needed', message: `\xb8\x06${good.slice(1)}` },
    {
      what: 'a text length in more bytes than needed',
      message: good.replace('\x64prev', '\x78\x04prev'),
    },
    { what: 'undefined in place of null', message: good.replace('\x64prev\xf6', '\x64prev\xf7') },
    {
      what: 'a float',
      message: good.replace('\x64prev\xf6', '\x64prev\xfb\x00\x00\x00\x00\x00\x00\x00\x00'),
    },
    {
      what: 'a big integer',
      message: good.replace('\x64prev\xf6', '\x64prev\x1b\xff\xff\xff\xff\xff\xff\xff\xff'),
    },
    { what: 'a byte string', message: good.replace('\x64prev\xf6', '\x64prev\x41\x00') },
    { what: 'a tag', message: `\xc1${good}` },
    {
      what: 'a link as prev',
      message: good.replace(
        '\x64prev\xf6',
        `\x64prev\xd8\x2a\x58\x25\x00\x01\x71\x12\x20${'x'.repeat(32)}`,
      ),
    },
    { what: 'text that is not UTF-8', message: good.replace('alice', 'alic\xff') },
    { what: 'a surrogate in UTF-8', message: good.replace('alice', 'al\xed\xa0\x80') },
    { what: 'an overlong UTF-8 sequence', message: good.replace('alice', 'ali\xc1\xa1') },
    { what: 'a byte order mark that would be dropped', message: `\xef\xbb\xbf${good}` },
    { what: 'nesting', message: '\x81'.repeat(3908) },
    { what: 'a list that promises four thousand million items', message: '\x9a\xff\xff\xff\xff' },
    { what: 'two operations', message: good + good },
  ])('$what is refused', ({ message }) => {
    expect(message).not.toBe(good)
    expect(['malformed', 'not-canonical']).toContain(
      refusal(() => decodeUnsignedOperation(bytesOf(message))),
    )
  })

  test('keys out of order and keys twice are refused', () => {
    const entry = '\x64prev\xf6'
    const moved = `\xa6${good.slice(1).replace(entry, '')}${entry}`
    expect(refusal(() => decodeUnsignedOperation(bytesOf(moved)))).toBe('not-canonical')
    const twice = `\xa7${entry}${good.slice(1)}`
    expect(refusal(() => decodeUnsignedOperation(bytesOf(twice)))).toBe('malformed')
  })

  test('a signed operation is no unsigned one, nor the other way round', () => {
    expect(refusal(() => decodeUnsignedOperation(encodeSignedOperation(signed)))).toBe('malformed')
    expect(refusal(() => decodeSignedOperation(signingBytes(operation)))).toBe('malformed')
  })

  test('100 kB of nesting does not exhaust the stack', () => {
    expect(refusal(() => decodeSignedOperation(bytesOf('\x81'.repeat(100_000))))).toBe('malformed')
  })
})

describe('properties', () => {
  test('decoding is the inverse of encoding', () => {
    fc.assert(
      fc.property(unsignedOperation, (operation) => {
        const bytes = signingBytes(operation)
        fc.pre(bytes.length <= 3908)
        const decoded = decodeUnsignedOperation(bytes)
        expect(decoded.bytes).toEqual(bytes)
        expect(decoded.operation).toEqual(operation)
        const signed = attachSignature(operation, COMPACT)
        expect(decodeSignedOperation(encodeSignedOperation(signed))).toEqual(signed)
      }),
      { numRuns: 2000 },
    )
  })

  test('the signing bytes inside a signed operation are its signing bytes', () => {
    fc.assert(
      fc.property(unsignedOperation, (operation) => {
        const encoded = encodeSignedOperation(attachSignature(operation, COMPACT))
        const before = Uint8Array.from(encoded)
        expect(withoutSignature(encoded)).toEqual(signingBytes(operation))
        expect(withSignature(signingBytes(operation), COMPACT)).toEqual(encoded)
        expect(encoded).toEqual(before)
      }),
      { numRuns: 2000 },
    )
  })

  test('an operation with any byte changed is refused or is another operation', () => {
    fc.assert(
      fc.property(
        anyPlcOperation,
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (operation, at, flip) => {
          const bytes = signingBytes(operation)
          fc.pre(bytes.length <= 3908)
          const changed = Uint8Array.from(bytes)
          changed[at % bytes.length]! ^= flip
          const outcome = attempt(() => decodeUnsignedOperation(changed))
          if (outcome instanceof PlcError) return
          expect(outcome.bytes).toEqual(changed)
          expect(outcome.operation).not.toEqual(operation)
        },
      ),
      { numRuns: 5000 },
    )
  })

  test('a prefix of an operation is never an operation', () => {
    const bytes = signingBytes(operation)
    for (let length = 0; length < bytes.length; length++) {
      expect(refusal(() => decodeUnsignedOperation(bytes.subarray(0, length)))).toBe('malformed')
    }
  })
})

test('a sig of another length has no signing bytes inside', () => {
  for (const sig of ['', 'A'.repeat(85), 'A'.repeat(87)]) {
    const encoded = encodeSignedOperation({ ...operation, sig })
    expect(refusal(() => withoutSignature(encoded))).toBe('malformed')
  }
})

function sizedMessage(length: number): Uint8Array {
  const missing = length - signingBytes(plcOperation({ alsoKnownAs: ['x'.repeat(300)] })).length
  return encode(plcOperation({ alsoKnownAs: ['x'.repeat(300 + missing)] }))
}

function base32(bytes: Uint8Array): string {
  const digits = 'abcdefghijklmnopqrstuvwxyz234567'
  let text = ''
  let bits = BigInt(`0x${Buffer.from(bytes).toString('hex')}`) << 4n
  for (let digit = 0; digit < 52; digit++, bits >>= 5n) text = digits[Number(bits & 31n)]! + text
  return `b${text}`
}

function attempt<T>(run: () => T): T | PlcError {
  try {
    return run()
  } catch (error) {
    if (error instanceof PlcError) return error
    throw error
  }
}

function refusal(run: () => unknown): string | undefined {
  const outcome = attempt(run)
  return outcome instanceof PlcError ? outcome.code : undefined
}
