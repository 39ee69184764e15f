import { encode } from '@ipld/dag-cbor'
import { describe, expect, test } from 'vitest'
import { checkLimits, limitChecks } from '../../src/plc/limits.ts'
import type { OperationData, PlcOperation } from '../../src/plc/operation.ts'
import { keyNamed, p256KeyNamed, plcOperation } from './build-log.ts'

const keys = await Promise.all(
  Array.from({ length: 12 }, async (_, index) => (await keyNamed(`key ${index}`)).did()),
)
const p256 = (await p256KeyNamed('enclave')).did()
const ed25519 = 'did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK'
const good = plcOperation({
  rotationKeys: [keys[0]!, p256],
  verificationMethods: { atproto: keys[1]! },
})

function ruleOn(fields: Partial<PlcOperation>, previous: OperationData | null = null) {
  return checkLimits({ ...good, ...fields }, previous)?.rule ?? 'fine'
}

const entries = <T>(count: number, value: T) =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`id-${index}`, value]))
const service = { type: 'Type', endpoint: 'https://example.com' }
const names = (count: number) => Array.from({ length: count }, (_, index) => `at://${index}`)

test('a good operation and every tombstone are fine', () => {
  expect(ruleOn({})).toBe('fine')
  expect(checkLimits({ type: 'plc_tombstone', prev: 'x' }, good)).toBeNull()
})

describe('section 3, when building', () => {
  test.each([
    { rule: 'PLC-ROTATION-KEYS-EMPTY', bad: { rotationKeys: [] } },
    { rule: 'PLC-ROTATION-KEYS-COUNT', bad: { rotationKeys: keys.slice(0, 6) } },
    { rule: 'PLC-ROTATION-KEYS-DUPLICATE', bad: { rotationKeys: [keys[0]!, p256, keys[0]!] } },
    { rule: 'PLC-ROTATION-KEY-CURVE', bad: { rotationKeys: [keys[0]!, ed25519] } },
    { rule: 'PLC-ROTATION-KEY-CURVE', bad: { rotationKeys: ['did:web:example.com'] } },
    { rule: 'PLC-VERIFICATION-METHODS-LIMIT', bad: { verificationMethods: entries(11, 'k') } },
    {
      rule: 'PLC-VERIFICATION-METHODS-LIMIT',
      bad: { verificationMethods: { ['x'.repeat(33)]: 'k' } },
    },
    {
      rule: 'PLC-VERIFICATION-METHODS-LIMIT',
      bad: { verificationMethods: { x: 'k'.repeat(257) } },
    },
    { rule: 'PLC-ATPROTO-KEY-CURVE', bad: { verificationMethods: { atproto: ed25519 } } },
    { rule: 'PLC-ATPROTO-KEY-CURVE', bad: { verificationMethods: { atproto: '' } } },
    { rule: 'PLC-ALSO-KNOWN-AS-LIMIT', bad: { alsoKnownAs: names(11) } },
    { rule: 'PLC-ALSO-KNOWN-AS-LIMIT', bad: { alsoKnownAs: ['x'.repeat(259)] } },
    { rule: 'PLC-ALSO-KNOWN-AS-LIMIT', bad: { alsoKnownAs: ['at://a', 'at://b', 'at://a'] } },
    { rule: 'PLC-SERVICES-LIMIT', bad: { services: entries(11, service) } },
    { rule: 'PLC-SERVICES-LIMIT', bad: { services: { ['x'.repeat(33)]: service } } },
    { rule: 'PLC-SERVICES-LIMIT', bad: { services: { x: { ...service, type: 't'.repeat(257) } } } },
    {
      rule: 'PLC-SERVICES-LIMIT',
      bad: { services: { x: { ...service, endpoint: 'e'.repeat(513) } } },
    },
    {
      rule: 'PLC-OPERATION-SIZE',
      bad: { services: entries(10, { ...service, endpoint: 'e'.repeat(400) }) },
    },
  ])('$rule refuses $bad', ({ rule, bad }) => {
    expect(ruleOn(bad)).toBe(rule)
  })

  test.each([
    { rotationKeys: keys.slice(0, 5) },
    { rotationKeys: [keys[0]!] },
    { verificationMethods: {} },
    { verificationMethods: entries(10, 'any key') },
    { verificationMethods: { atproto: p256, ['x'.repeat(32)]: 'k'.repeat(256), other: ed25519 } },
    { alsoKnownAs: [] },
    { alsoKnownAs: [...names(9), 'x'.repeat(258)] },
    { services: {} },
    { services: entries(10, service) },
    { services: { ['x'.repeat(32)]: { type: 't'.repeat(256), endpoint: 'e'.repeat(512) } } },
  ])('%j is just within', (fields) => {
    expect(ruleOn(fields)).toBe('fine')
  })

  test('3908 bytes are within, one more is not', () => {
    const services = (length: number) => ({
      services: {
        ...entries(6, { ...service, endpoint: 'e'.repeat(500) }),
        x: { ...service, endpoint: 'e'.repeat(length) },
      },
    })
    const missing = 3908 - encode({ ...good, ...services(256) }).length
    expect(ruleOn(services(256 + missing))).toBe('fine')
    expect(ruleOn(services(257 + missing))).toBe('PLC-OPERATION-SIZE')
  })
})

describe('PLC-ROTATION-KEYS-COUNT: a head that already has 6 to 10 keys must not grow', () => {
  test.each([
    { held: 0, most: 5 },
    { held: 5, most: 5 },
    { held: 6, most: 6 },
    { held: 10, most: 10 },
    { held: 12, most: 10 },
  ])('after $held keys at most $most are allowed', ({ held, most }) => {
    const previous = { ...good, rotationKeys: keys.slice(0, held) }
    expect(ruleOn({ rotationKeys: keys.slice(0, most) }, previous)).toBe('fine')
    expect(ruleOn({ rotationKeys: keys.slice(0, most + 1) }, previous)).toBe(
      'PLC-ROTATION-KEYS-COUNT',
    )
  })
})

test('each rule is one function that alone finds what it is for', () => {
  const worst: PlcOperation = plcOperation({
    rotationKeys: Array<string>(11).fill('junk'),
    verificationMethods: { ...entries(11, 'x'.repeat(300)), atproto: 'junk' },
    alsoKnownAs: names(11),
    services: entries(11, service),
  })
  const empty = plcOperation({ rotationKeys: [] })
  const found = limitChecks.map((check) => (check(worst, null) ?? check(empty, null))?.rule)
  expect(found).toEqual([
    'PLC-ROTATION-KEYS-EMPTY',
    'PLC-ROTATION-KEYS-COUNT',
    'PLC-ROTATION-KEYS-DUPLICATE',
    'PLC-ROTATION-KEY-CURVE',
    'PLC-VERIFICATION-METHODS-LIMIT',
    'PLC-ATPROTO-KEY-CURVE',
    'PLC-ALSO-KNOWN-AS-LIMIT',
    'PLC-SERVICES-LIMIT',
    'PLC-OPERATION-SIZE',
  ])
})

test('foreign text in a finding is escaped', () => {
  const finding = checkLimits({ ...good, rotationKeys: ['x"\n\u202e'] }, null)
  expect(finding?.message).toContain('"x\\"\\u{a}\\u{202e}"')
})
