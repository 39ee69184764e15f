import * as dagCbor from '@ipld/dag-cbor'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeEntry } from '../../src/audit/decode.ts'
import { encodeEntry, MAX_ENTRY_BYTES } from '../../src/audit/entry.ts'
import type { AuditEntry } from '../../src/audit/entry.ts'
import { AuditError } from '../../src/audit/error.ts'
import { input } from '../policy/arbitrary.ts'
import { AT, entries, judgedOf, REQUEST } from './entries.ts'

const given = Object.entries(entries).map(([kind, [entry]]) => [kind, entry] as const)
const bodyOf = (entry: AuditEntry) => encodeEntry(entry, AT).body
const withFields = (entry: AuditEntry, fields: object) =>
  new Uint8Array(dagCbor.encode({ v: 1, at: AT.getTime(), ...entry, ...fields }))

function codeOf(body: Uint8Array): string {
  try {
    decodeEntry(body)
  } catch (error) {
    if (error instanceof AuditError) return error.code
    throw error
  }
  return 'none'
}

describe.each(given)('%s', (_, entry) => {
  test('is read as it was written', () => {
    expect(decodeEntry(bodyOf(entry))).toEqual({ at: AT.getTime(), entry })
  })

  test('with a field more, or one less, or one of another type, it is none', () => {
    expect(codeOf(withFields(entry, { extra: 1 }))).toBe('malformed')
    for (const name of Object.keys(entry).filter((field) => field !== 'kind')) {
      const { [name as 'kind']: _removed, ...rest } = entry
      expect(codeOf(withFields(rest as AuditEntry, {}))).toBe('malformed')
      const other = typeof (entry as Record<string, unknown>)[name] === 'boolean' ? 1 : false
      expect(codeOf(withFields(entry, { [name]: other }))).toBe('malformed')
    }
  })

  test('without its time, or before all time, it is none', () => {
    expect(codeOf(withFields(entry, { at: -1 }))).toBe('malformed')
    expect(codeOf(withFields(entry, { at: '2026' }))).toBe('malformed')
  })
})

test('every decision of every policy comes back whole', () => {
  fc.assert(
    fc.property(input, (question) => {
      const entry = { kind: 'request.denied' as const, ...judgedOf(question) }
      expect(decodeEntry(bodyOf(entry)).entry).toEqual(entry)
    }),
    { numRuns: 200 },
  )
})

const cancelled = bodyOf({ kind: 'request.cancelled', request: REQUEST })

test('a kind or schema of another time is told apart from nonsense', () => {
  expect(codeOf(withFields({ kind: 'request.forgotten' } as never, {}))).toBe('unknown-version')
  expect(codeOf(withFields({ kind: 'constructor' } as never, {}))).toBe('unknown-version')
  expect(codeOf(withFields(entries['request.cancelled'][0], { v: 2 }))).toBe('unknown-version')
  expect(codeOf(new Uint8Array(dagCbor.encode({ kind: 'request.cancelled' })))).toBe(
    'unknown-version',
  )
})

describe('there is one encoding', () => {
  const pairs = [
    ['v', 1],
    ['at', AT.getTime()],
    ['kind', 'request.cancelled'],
    ['request', REQUEST],
  ].map(([name, value]) => Buffer.concat([dagCbor.encode(name), dagCbor.encode(value)]))
  const [v, at, kind, request] = pairs as [Buffer, Buffer, Buffer, Buffer]
  const map = (...parts: Buffer[]) => Buffer.concat([Buffer.of(0xa0 + parts.length), ...parts])

  test('keys in their order, each once, numbers in the fewest bytes', () => {
    expect(map(v, at, kind, request).equals(cancelled)).toBe(true)
    expect(codeOf(map(v, kind, at, request))).toBe('malformed')
    expect(codeOf(map(v, v, at, kind, request))).toBe('malformed')
    const long = Buffer.concat([v.subarray(0, -1), Buffer.of(0x18, 1)])
    expect(codeOf(map(long, at, kind, request))).toBe('malformed')
    const float = Buffer.concat([v.subarray(0, -1), Buffer.from('fb3ff0000000000000', 'hex')])
    expect(codeOf(map(float, at, kind, request))).toBe('malformed')
    const indefinite = Buffer.concat([Buffer.of(0xbf), v, at, kind, request, Buffer.of(0xff)])
    expect(codeOf(indefinite)).toBe('malformed')
  })

  test('a byte more, a byte less', () => {
    expect(codeOf(Buffer.concat([cancelled, Buffer.of(0)]))).toBe('malformed')
    expect(codeOf(cancelled.subarray(0, -1))).toBe('malformed')
  })

  test('any changed bit is another entry or none', () => {
    const read = (body: Uint8Array) => JSON.stringify(codeOf(body) === 'none' && decodeEntry(body))
    const readings = Array.from({ length: cancelled.length * 8 }, (_, bit) => {
      const changed = Uint8Array.from(cancelled)
      changed[bit >> 3]! ^= 1 << (bit & 7)
      return read(changed)
    })
    expect(readings).not.toContain(read(cancelled))
  })
})

test('any bytes are an entry or an error of ours', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), (noise) => {
      expect(codeOf(noise)).not.toBe('none')
    }),
  )
  expect(codeOf(new Uint8Array(MAX_ENTRY_BYTES + 1))).toBe('too-large')
})
