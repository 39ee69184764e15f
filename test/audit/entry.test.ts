import * as dagCbor from '@ipld/dag-cbor'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodeEntry, MAX_ENTRY_BYTES } from '../../src/audit/entry.ts'
import type { AuditEntry, JudgedRequest } from '../../src/audit/entry.ts'
import { encodeSignedOperation, signingBytes } from '../../src/plc/encode.ts'
import { MAX_UNSIGNED_BYTES } from '../../src/plc/operation.ts'
import { evaluate } from '../../src/policy/evaluate.ts'
import type { EvaluateInput } from '../../src/policy/evaluate.ts'
import { input } from '../policy/arbitrary.ts'
import { DID, dids, elsewhere, inputOf, OTHER_CID, update } from '../policy/cases.ts'

const AT = new Date('2026-03-01T12:00:00.123Z')
const REQUEST = '0b7c0d8e-5c1b-4d2b-9a53-0f7f0d8b1c11'
const digest = new Uint8Array(32).fill(7)

/** What custody writes of a judged request. */
function judgedOf(given: EvaluateInput): JudgedRequest {
  const { facts, decision } = evaluate(given)
  const { subject, policies, circumstances } = given
  return {
    request: REQUEST,
    caller: subject.caller,
    key: subject.key.id,
    keyDid: subject.key.did,
    digest,
    unsigned: signingBytes(subject.operation),
    previous: subject.previous === null ? null : encodeSignedOperation(subject.previous.operation),
    did: subject.previous?.did ?? null,
    class: facts.operationClass,
    changes: facts.changeKinds,
    policy: policies.digest,
    decision,
    operationCounts: circumstances.operationCounts,
    ruleCounts: circumstances.ruleCounts,
    didRuleCounts: circumstances.didRuleCounts,
    observedHead: circumstances.observedHead,
  }
}

const judged = judgedOf(inputOf({ subject: update(elsewhere) }))
const serial = { caller: 'pds', accessKeyId: 'HFAKAAAA', serial: 1 }

const keyName = { key: 'pds', keyDid: dids.online }

const submitted = { request: REQUEST, did: DID, cid: OTHER_CID }

/** One of each kind, and what it is about. */
const entries: { [Kind in AuditEntry['kind']]: [AuditEntry & { kind: Kind }, string] } = {
  'request.proposed': [{ kind: 'request.proposed', ...judged }, REQUEST],
  'request.denied': [{ kind: 'request.denied', ...judged }, REQUEST],
  'request.cancelled': [{ kind: 'request.cancelled', request: REQUEST }, REQUEST],
  'request.superseded': [{ kind: 'request.superseded', request: REQUEST, by: 'other' }, REQUEST],
  'request.failed': [{ kind: 'request.failed', request: REQUEST, reason: 'timeout' }, REQUEST],
  'signature.intended': [
    {
      kind: 'signature.intended',
      request: REQUEST,
      lease: 'lease',
      digest,
      keyDid: dids.online,
      replaces: ['other'],
    },
    REQUEST,
  ],
  'signature.produced': [
    {
      kind: 'signature.produced',
      request: REQUEST,
      lease: 'lease',
      did: DID,
      cid: OTHER_CID,
      signature: new Uint8Array(64),
      home: 'eu-central-1',
      providerRequestId: 'f6c7e9d0-1b7e-4f63-9a0f-0c3a1b0c7c11',
    },
    REQUEST,
  ],
  'signature.postponed': [
    { kind: 'signature.postponed', request: REQUEST, lease: 'lease', reason: 'unavailable' },
    REQUEST,
  ],
  'submission.accepted': [{ kind: 'submission.accepted', ...submitted }, REQUEST],
  'submission.refused': [
    { kind: 'submission.refused', ...submitted, status: 400, message: 'Invalid signature on op' },
    REQUEST,
  ],
  'submission.unknown': [
    { kind: 'submission.unknown', ...submitted, message: 'no answer' },
    REQUEST,
  ],
  'operation.confirmed': [{ kind: 'operation.confirmed', ...submitted }, REQUEST],
  'trust.initialised': [
    {
      kind: 'trust.initialised',
      store: REQUEST,
      origin: 'holdfast.example/audit/1',
      checkpointKey: 'holdfast.example/audit/1+00000000+AQ==',
    },
    REQUEST,
  ],
  'database.restored': [
    { kind: 'database.restored', had: 3, size: 7, root: new Uint8Array(32) },
    '7',
  ],
  'operation.foreign': [
    {
      kind: 'operation.foreign',
      did: 'did:plc:a',
      cid: 'c',
      class: 'loss',
      createdAt: 1,
      deadline: 2,
    },
    'c',
  ],
  'operation.nullified': [
    { kind: 'operation.nullified', request: REQUEST, did: 'did:plc:a', cid: 'c', by: 'd' },
    'c',
  ],
  'reconciliation.reported': [
    {
      kind: 'reconciliation.reported',
      directory: 'https://plc.directory',
      operations: 3,
      own: 2,
      foreign: 1,
      nullified: 0,
    },
    'https://plc.directory',
  ],
  'did.enrolled': [{ kind: 'did.enrolled', did: DID, caller: 'pds', head: OTHER_CID }, DID],
  'caller.added': [{ kind: 'caller.added', ...serial }, 'HFAKAAAA'],
  'caller.revoked': [{ kind: 'caller.revoked', ...serial }, 'HFAKAAAA'],
  'key.created': [{ kind: 'key.created', ...keyName, home: 'file:pds' }, dids.online],
  'key.imported': [{ kind: 'key.imported', ...keyName, home: 'file:pds' }, dids.online],
  'key.checked': [{ kind: 'key.checked', ...keyName, home: 'file:pds', holds: true }, dids.online],
  'key.retired': [{ kind: 'key.retired', ...keyName }, dids.online],
  'key.taken-over': [
    { kind: 'key.taken-over', ...keyName, from: 'pkcs11:token=a', to: 'file:b', reason: 'away' },
    dids.online,
  ],
  'key.latched': [{ kind: 'key.latched', serial: '4711', reason: 'refused' }, '4711'],
  'key.unlatched': [{ kind: 'key.unlatched', serial: '4711', reason: 'refused' }, '4711'],
}

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
