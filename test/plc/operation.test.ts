import { describe, expect, test } from 'vitest'
import {
  operationData,
  parseSignedOperation,
  parseUnsignedOperation,
} from '../../src/plc/operation.ts'
import { plcOperation } from './build-log.ts'

const CID = 'bafyreidef3g2vvlshwzf7vxjyxg3lraahujvhtkpo7y3g4br52ft3lzwem'
const SIG = 'A'.repeat(86)
const tombstone = { type: 'plc_tombstone', prev: CID }
const legacy = {
  type: 'create',
  signingKey: 'did:key:zSigning',
  recoveryKey: 'did:key:zRecovery',
  handle: 'alice.example.com',
  service: 'https://pds.example.com',
  prev: null,
}

describe('section 1: operation types', () => {
  test.each([
    { what: 'a genesis', operation: plcOperation() },
    { what: 'an update', operation: plcOperation({ prev: CID }) },
    { what: 'a tombstone', operation: tombstone },
  ])('$what is parsed unsigned, and signed with a sig', ({ operation }) => {
    expect({ ...parseUnsignedOperation(operation) }).toEqual(operation)
    expect(parseSignedOperation({ ...operation, sig: SIG })).toEqual({ ...operation, sig: SIG })
  })

  test('a legacy create is parsed in history and never built', () => {
    expect(parseSignedOperation({ ...legacy, sig: SIG })).toEqual({ ...legacy, sig: SIG })
    expect(refusal(() => parseUnsignedOperation(legacy))).toBe('malformed')
  })

  test.each([plcOperation(), tombstone, legacy])('each field of $type is required', (operation) => {
    const signed: Record<string, unknown> = { ...operation, sig: SIG }
    for (const name of Object.keys(signed)) {
      const { [name]: _left, ...rest } = signed
      expect(refusal(() => parseSignedOperation(rest))).toBe('malformed')
      expect(refusal(() => parseSignedOperation({ ...signed, [name]: undefined }))).toBe(
        'malformed',
      )
      expect(refusal(() => parseSignedOperation({ ...signed, [name]: 7 }))).toBe('malformed')
    }
  })

  test.each([plcOperation(), tombstone, legacy])(
    'no other field of $type is allowed',
    (operation) => {
      const signed = { ...operation, sig: SIG }
      for (const name of ['extra', '', 'Type', '__proto__', 'toJSON']) {
        const more = Object.defineProperty({ ...signed }, name, { value: 'x', enumerable: true })
        expect(refusal(() => parseSignedOperation(more))).toBe('malformed')
        const unseen = Object.defineProperty({ ...signed }, name, { value: undefined })
        expect(refusal(() => parseSignedOperation(unseen))).toBe('malformed')
      }
      expect(refusal(() => parseSignedOperation({ ...signed, [Symbol('x')]: 1 }))).toBe('malformed')
    },
  )

  test.each(['sig', 'prev'])('an unsigned operation with %s undefined is refused', (name) => {
    expect(refusal(() => parseUnsignedOperation({ ...plcOperation(), [name]: undefined }))).toBe(
      'malformed',
    )
  })

  test.each([
    { rotationKeys: 'did:key:z' },
    { rotationKeys: [null] },
    { rotationKeys: Array(1) },
    { rotationKeys: { 0: 'x', length: 1 } },
    { verificationMethods: [] },
    { verificationMethods: { atproto: null } },
    { verificationMethods: new Map() },
    { alsoKnownAs: ['x', 1] },
    { services: { a: 'x' } },
    { services: { a: { type: 'x' } } },
    { services: { a: { type: 'x', endpoint: 'y', extra: 'z' } } },
    { services: { a: { type: 'x', endpoint: new URL('https://a.example') } } },
    { prev: 7 },
  ])('%j in place of a good field is refused', (fields) => {
    const operation = { ...plcOperation(), ...fields }
    expect(refusal(() => parseUnsignedOperation(operation))).toBe('malformed')
    expect(refusal(() => parseSignedOperation({ ...operation, sig: SIG }))).toBe('malformed')
  })

  test.each([
    CID.toUpperCase(),
    CID.slice(1),
    `${CID}a`,
    ` ${CID}`,
    `${CID}\n`,
    `${CID.slice(0, -1)}b`,
    CID.replace('bafyreid', 'bafyreiz'),
    'zdpuAyvkgEDQm9TenwGkd5eNaosSxjgEYd8QatfPetgB1CdEZ',
    'QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR',
    '',
  ])('what we build names its prev by a canonical CID, not by %j', (prev) => {
    expect(refusal(() => parseUnsignedOperation(plcOperation({ prev })))).toBe('malformed')
    expect(refusal(() => parseUnsignedOperation({ ...tombstone, prev }))).toBe('malformed')
    expect(parseSignedOperation({ ...tombstone, prev, sig: SIG }).prev).toBe(prev)
  })

  test.each([null, undefined, 1, 'plc_operation', [], new Map(), new Date(0), () => tombstone])(
    '%j is no operation',
    (value) => {
      expect(refusal(() => parseUnsignedOperation(value))).toBe('malformed')
      expect(refusal(() => parseSignedOperation(value))).toBe('malformed')
    },
  )

  test('an inherited field is no field', () => {
    const operation: unknown = Object.create(plcOperation())
    expect(refusal(() => parseUnsignedOperation(operation))).toBe('malformed')
  })

  test.each(['\ud800', 'a\udc00b', '\udc00\ud800'])(
    'the lone surrogate in %j is refused',
    (bad) => {
      expect(refusal(() => parseUnsignedOperation(plcOperation({ alsoKnownAs: [bad] })))).toBe(
        'malformed',
      )
      const services = { [bad]: { type: 'x', endpoint: 'y' } }
      expect(refusal(() => parseUnsignedOperation(plcOperation({ services })))).toBe('malformed')
    },
  )

  test.each(['__proto__', 'constructor', 'hasOwnProperty'])('the id %s is only an id', (name) => {
    const json = JSON.stringify(plcOperation()).replace('atproto_pds', name)
    const operation = parseUnsignedOperation(JSON.parse(json))
    const services = operationData(operation)!.services
    expect(Object.keys(services)).toEqual([name])
    expect(services[name]).toEqual(plcOperation().services.atproto_pds)
    expect(Object.getPrototypeOf(services)).toBeNull()
  })

  test('parsing takes a snapshot: what changes afterwards changes nothing', () => {
    const value = plcOperation({ rotationKeys: ['a'] })
    const operation = parseUnsignedOperation(value)
    value.rotationKeys.push('b')
    value.services.atproto_pds!.endpoint = 'https://evil.example'
    expect({ ...operation }).toEqual(plcOperation({ rotationKeys: ['a'] }))
  })

  test.each([
    { alsoKnownAs: ['x'.repeat(100_001)] },
    { alsoKnownAs: Array(100_001).fill('') },
    { alsoKnownAs: Array(4_000_000_000) },
    { verificationMethods: { ['x'.repeat(100_001)]: '' } },
  ])('an absurd size is refused before it costs anything', (fields) => {
    const operation = { ...plcOperation(), ...fields }
    expect(refusal(() => parseUnsignedOperation(operation))).toBe('too-large')
    expect(refusal(() => parseSignedOperation({ ...operation, sig: SIG }))).toBe('too-large')
  })
})

describe('section 1: legacy normalised', () => {
  test.each([
    { handle: 'alice.example.com', name: 'at://alice.example.com' },
    { handle: 'at://alice.example.com', name: 'at://alice.example.com' },
    { handle: 'https://alice.example.com', name: 'at://alice.example.com' },
  ])('the handle $handle becomes $name', ({ handle, name }) => {
    const data = operationData(parseSignedOperation({ ...legacy, handle, sig: SIG }))
    expect(data?.alsoKnownAs).toEqual([name])
  })

  test.each([
    { service: 'pds.example.com', endpoint: 'https://pds.example.com' },
    { service: 'http://pds.example.com', endpoint: 'http://pds.example.com' },
    { service: 'https://pds.example.com', endpoint: 'https://pds.example.com' },
  ])('the service $service becomes $endpoint', ({ service, endpoint }) => {
    const data = operationData(parseSignedOperation({ ...legacy, service, sig: SIG }))
    expect(data?.services).toEqual({
      atproto_pds: { type: 'AtprotoPersonalDataServer', endpoint },
    })
  })

  test('the recovery key stands above the signing key', () => {
    const data = operationData(parseSignedOperation({ ...legacy, sig: SIG }))
    expect(data?.rotationKeys).toEqual(['did:key:zRecovery', 'did:key:zSigning'])
    expect(data?.verificationMethods).toEqual({ atproto: 'did:key:zSigning' })
  })
})

function refusal(parse: () => unknown): unknown {
  try {
    return parse()
  } catch (error) {
    return (error as { code?: unknown }).code
  }
}
