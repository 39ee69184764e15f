import * as dagCbor from '@ipld/dag-cbor'
import { describe, expect, test } from 'vitest'
import { decodeTrust, differences, encodeTrust, recordOf } from '../../src/trust/record.ts'
import type { TrustRecord } from '../../src/trust/record.ts'
import { roster } from '../policy/arbitrary.ts'

const record: TrustRecord = {
  env: 'prod',
  policies: new Uint8Array(32).fill(1),
  roster: { epoch: 2, digest: new Uint8Array(32).fill(2) },
  sequence: 3,
}
const fields = dagCbor.decode<Record<string, unknown>>(encodeTrust(record))
const decodeWith = (changes: Record<string, unknown>) =>
  decodeTrust(new Uint8Array(dagCbor.encode({ ...fields, ...changes })))

describe('a trust record', () => {
  test('is read as it was written, with officers and without', () => {
    expect(decodeTrust(encodeTrust(record))).toEqual(record)
    const alone = { ...record, roster: null }
    expect(decodeTrust(encodeTrust(alone))).toEqual(alone)
  })

  test.each([
    ['another format', { format: 'holdfast/trust-record/v2' }, /format/],
    ['another environment', { env: 'rehearsal' }, /env/],
    ['a short digest', { policies: new Uint8Array(31) }, /policies/],
    ['a digest as text', { policies: 'aa' }, /policies/],
    ['officers of no epoch', { roster: { epoch: 0, digest: record.policies } }, /roster.epoch/],
    ['officers without a digest', { roster: { epoch: 1 } }, /roster.digest/],
    ['no sequence', { sequence: 0 }, /sequence/],
    ['a field more', { note: 1 }, /other fields/],
  ])('of %s is none', (_name, changes, reason) => {
    expect(() => decodeWith(changes)).toThrow(reason)
  })

  test('in other bytes that say the same is none', () => {
    const bytes = encodeTrust(record)
    // 03 as the sequence, in two bytes instead of one.
    const at = bytes.lastIndexOf(3)
    const longer = Uint8Array.from([...bytes.subarray(0, at), 0x18, 3, ...bytes.subarray(at + 1)])
    expect(() => decodeTrust(longer)).toThrow(/not a trust record/)
    expect(() => decodeTrust(Uint8Array.from([...bytes, 0]))).toThrow(/not a trust record/)
    expect(() => decodeTrust(new Uint8Array(5000))).toThrow(/too large/)
  })
})

describe('what is loaded is held against the record', () => {
  const loaded = { env: 'prod' as const, digest: record.policies, roster }
  const inForce = recordOf(loaded, record)

  test('each change has the next number', () => {
    expect(inForce.sequence).toBe(4)
    expect(recordOf(loaded, null).sequence).toBe(1)
  })

  test('the same set with the same officers is in force', () => {
    expect(differences(inForce, loaded)).toEqual([])
  })

  test.each([
    ['env', { env: 'dev' as const }],
    ['policies', { digest: new Uint8Array(32) }],
    ['roster', { roster: null }],
    ['roster', { roster: { ...roster, epoch: roster.epoch + 1 } }],
    ['roster', { roster: { ...roster, digest: new Uint8Array(32).fill(9) } }],
  ])('another %s is found', (name, changes) => {
    expect(differences(inForce, { ...loaded, ...changes })).toEqual([name])
  })
})
