import * as dagCbor from '@ipld/dag-cbor'
import { expect, test } from 'vitest'
import { statementOf } from '../../src/approval/matter.ts'
import {
  APPROVAL_DOMAIN,
  decodeStatement,
  encodeStatement,
  preimageOf,
} from '../../src/approval/statement.ts'
import type { Statement } from '../../src/approval/statement.ts'
import { bytes, matterOf, signatoryOf } from './cases.ts'

const statement = statementOf(matterOf(), signatoryOf('alice'))
const encoded = encodeStatement(statement)
const malformed = expect.objectContaining({ name: 'ApprovalError', code: 'malformed' })
const read = (value: unknown) => () => decodeStatement(new Uint8Array(dagCbor.encode(value)))

test('a statement is read back as it was written', () => {
  const read = decodeStatement(encoded)
  expect(read).toMatchObject({ person: 'alice', head: statement.head, nonce: statement.nonce })
  expect(encodeStatement(read)).toEqual(encoded)
})

test('its preimage is the domain, a zero and the statement', () => {
  const expected = Buffer.concat([Buffer.from('holdfast/approval/v1\0'), encoded])
  expect(Buffer.from(preimageOf(encoded))).toEqual(expected)
  expect(APPROVAL_DOMAIN).toBe('holdfast/approval/v1')
})

test('no preimage can be taken for a PLC operation: the first byte of each is another', () => {
  expect(preimageOf(encoded)[0]).toBe(0x68)
  expect(bytes[0]! >> 5).toBe(5)
})

test.each(Object.keys(statement))('a statement without %s is none', (field) => {
  const { [field as keyof Statement]: _left, ...rest } = statement
  expect(read(rest)).toThrow(malformed)
})

test.each<[string, object]>([
  ['another field', { comment: 'hello' }],
  ['another field of its roster', { roster: { ...statement.roster, name: 'officers' } }],
  ['a short digest', { request: statement.request.subarray(1) }],
  ['a digest as text', { request: 'aa' }],
  ['a short nonce', { nonce: statement.nonce.subarray(1) }],
  ['half a second', { notBefore: 1.5 }],
  ['a time before 1970', { executeBy: -1 }],
  ['another decision', { decision: 'abstain' }],
  ['another subject', { subject: 'everything' }],
  ['no key at all, instead of null', { key: '' }],
])('a statement with %s is none', (_what, change) => {
  expect(read({ ...statement, ...change })).toThrow(malformed)
})

test('bytes that say the same in another way are none', () => {
  // The head of a map of 19 fields with its length in a byte of its own.
  expect(encoded[0]).toBe(0xb3)
  const longer = Uint8Array.of(0xb8, 0x13, ...encoded.subarray(1))
  expect(() => decodeStatement(longer)).toThrow(malformed)
})

test.each([
  ['with a byte after it', Uint8Array.of(...encoded, 0)],
  ['cut short', encoded.subarray(0, -1)],
  ['empty', new Uint8Array()],
  ['larger than any', new Uint8Array(16_385)],
])('bytes %s are none', (_what, given) => {
  expect(() => decodeStatement(given)).toThrow(malformed)
})

test('an error names our field and nothing that was written', () => {
  expect(read({ ...statement, person: 7, '\u001b[2J': 1 })).toThrow(/^[ -~]+$/)
})
