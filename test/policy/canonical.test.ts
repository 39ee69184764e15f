import { readFileSync } from 'node:fs'
import * as dagCbor from '@ipld/dag-cbor'
import { describe, expect, test } from 'vitest'
import { decodePolicySet, policySetBytes } from '../../src/policy/canonical.ts'
import { PolicyError } from '../../src/policy/error.ts'
import { parsePolicySet } from '../../src/policy/parse.ts'
import { allowAll, deny, keys, policySet, rule } from './cases.ts'

const shipped = (name: string) =>
  readFileSync(new URL(`../../policies/${name}.yaml`, import.meta.url), 'utf8')

test('the digest of a parsed set is the SHA-256 of its canonical bytes', () => {
  const set = parsePolicySet({
    keys: shipped('keys'),
    callers: shipped('callers'),
    policy: shipped('policy'),
  })
  expect(decodePolicySet(policySetBytes(set))).toEqual(set)
})

test('everything that a set can hold comes back', () => {
  const set = policySet({
    rules: [allowAll, rule('LIMITED', { caller: ['alpha'], diff: ['alsoKnownAs'] }, '5/3600')],
    denies: [deny('NO', { diff: ['rotationKeys.add'], op: ['update'] }), deny('NONE', {})],
    callers: [{ name: 'alpha', keys: ['pds'], pds: 'https://pds.example.com' }],
    keys: keys.map((key) =>
      key.uri === null
        ? key
        : { ...key, homes: [key.uri, 'file:spare'], exposed: true, retired: true },
    ),
    notify: {
      webhooks: [{ id: 'ops', url: 'https://hooks.example.com/x' }],
      mail: { from: 'h@example.com' },
    },
  })
  const { digest: _, roster: __, ...content } = decodePolicySet(policySetBytes(set))
  expect(policySet(content)).toEqual(set)
})

describe('what is no policy set', () => {
  const content = dagCbor.decode<Record<string, unknown>>(policySetBytes(policySet()))
  const decodeOf = (value: unknown) => () => decodePolicySet(dagCbor.encode(value))

  test('as it stands it is one', () => {
    expect(decodeOf(content)).not.toThrow()
  })

  test.each([
    ['another format', { ...content, format: 'holdfast/policy-set/v2' }],
    ['a field more', { ...content, extra: 1 }],
    [
      'a field less',
      Object.fromEntries(Object.entries(content).filter(([name]) => name !== 'denies')),
    ],
    ['a rule of an unknown class', { ...content, rules: [rule('X', { op: ['take' as never] })] }],
    ['a list', []],
  ])('%s', (_, value) => {
    expect(decodeOf(value)).toThrow(PolicyError)
  })

  test('bytes that are not canonical', () => {
    const bytes = policySetBytes(policySet())
    expect(() => decodePolicySet(Buffer.concat([bytes, Buffer.of(0)]))).toThrow(PolicyError)
    expect(() => decodePolicySet(new Uint8Array())).toThrow(PolicyError)
  })
})
