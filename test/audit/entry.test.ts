import * as dagCbor from '@ipld/dag-cbor'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodeEntry, MAX_ENTRY_BYTES } from '../../src/audit/entry.ts'
import type { AuditEntry } from '../../src/audit/entry.ts'
import { signingBytes } from '../../src/plc/encode.ts'
import { MAX_UNSIGNED_BYTES } from '../../src/plc/operation.ts'
import { evaluate } from '../../src/policy/evaluate.ts'
import { input } from '../policy/arbitrary.ts'
import { AT, entries, judged, judgedOf, REQUEST } from './entries.ts'

describe.each(Object.entries(entries))('%s', (kind, [entry, subject]) => {
  test('says what kind it is and what it is about', () => {
    expect(encodeEntry(entry, AT)).toMatchObject({ kind, subject })
  })

  test('holds everything, with its time and the version of the schema', () => {
    const { body } = encodeEntry(entry, AT)
    expect(dagCbor.decode(body)).toEqual({ v: 1, at: AT.getTime(), ...entry })
  })

  test('has one encoding: what is decoded encodes to the same bytes', () => {
    const { body } = encodeEntry(entry, AT)
    expect(Buffer.compare(dagCbor.encode(dagCbor.decode(body)), body)).toBe(0)
    const reversed = Object.fromEntries(Object.entries(entry).toReversed()) as AuditEntry
    expect(Buffer.compare(encodeEntry(reversed, AT).body, body)).toBe(0)
  })

  test('every field counts: without it, or with another time, the bytes are others', () => {
    const { body } = encodeEntry(entry, AT)
    const later = encodeEntry(entry, new Date(AT.getTime() + 1)).body
    expect(Buffer.compare(later, body)).not.toBe(0)
    for (const name of Object.keys(entry).filter((field) => field !== 'kind')) {
      const other = { ...entry, [name]: 'x' } as AuditEntry
      expect(Buffer.compare(encodeEntry(other, AT).body, body)).not.toBe(0)
    }
  })

  test('has no field that looks like a secret or like a person', () => {
    const text = fieldNames(dagCbor.decode(encodeEntry(entry, AT).body)).join(' ')
    expect(text).not.toMatch(/secret|password|token|private|pin\b|email|sealed|credential/i)
  })
})

test('the request can be judged again from the entry alone', () => {
  fc.assert(
    fc.property(input, (given) => {
      const entry = { kind: 'request.denied' as const, ...judgedOf(given) }
      const read = dagCbor.decode(encodeEntry(entry, AT).body)
      expect(read).toMatchObject({
        unsigned: signingBytes(given.subject.operation),
        policy: given.policies.digest,
        decision: evaluate(given).decision,
        ruleCounts: given.circumstances.ruleCounts,
      })
    }),
    { numRuns: 200 },
  )
})

describe('the bound', () => {
  const failed = (length: number) =>
    encodeEntry({ kind: 'request.failed', request: REQUEST, reason: 'x'.repeat(length) }, AT)
  const rest = failed(MAX_ENTRY_BYTES / 2).body.length - MAX_ENTRY_BYTES / 2

  test('is 60,000 bytes, and fits what a bundle of the log can hold', () => {
    expect(MAX_ENTRY_BYTES).toBe(60_000)
    expect(MAX_ENTRY_BYTES).toBeLessThan(2 ** 16)
  })

  test('the last byte is allowed, the next one is not', () => {
    expect(failed(MAX_ENTRY_BYTES - rest).body).toHaveLength(MAX_ENTRY_BYTES)
    expect(() => failed(MAX_ENTRY_BYTES - rest + 1)).toThrow(RangeError)
  })

  test('the largest operation after the largest one that the directory takes today fits', () => {
    const largest = {
      ...judged,
      unsigned: new Uint8Array(MAX_UNSIGNED_BYTES),
      previous: new Uint8Array(4000),
    }
    const { body } = encodeEntry({ kind: 'request.proposed', ...largest }, AT)
    expect(body.length).toBeLessThan(MAX_ENTRY_BYTES / 5)
  })
})

test('nothing undefined is written down as if it had been left out', () => {
  const entry = { ...entries['did.enrolled'][0], head: undefined } as unknown as AuditEntry
  expect(() => encodeEntry(entry, AT)).toThrow(/undefined/)
})

function fieldNames(value: unknown): string[] {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return []
  if (Array.isArray(value)) return value.flatMap(fieldNames)
  return Object.entries(value).flatMap(([name, inner]) => [name, ...fieldNames(inner)])
}
