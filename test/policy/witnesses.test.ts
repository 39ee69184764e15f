import { describe, expect, test } from 'vitest'
import { COSIGNATURE, ED25519, formatVkey, noteKey } from '../../src/audit/note.ts'
import { decodePolicySet, policySetBytes } from '../../src/policy/canonical.ts'
import { compare } from '../../src/policy/compare.ts'
import { parsePolicySet } from '../../src/policy/parse.ts'
import { whyNotLoaded } from '../../src/policy-files.ts'
import { NOW } from './cases.ts'
import { officerFiles } from './officers.ts'

// Who cosigns checkpoints, and which rules may wait for them.

const vkey = (
  name: string,
  byte: number,
  type: typeof COSIGNATURE | typeof ED25519 = COSIGNATURE,
) => formatVkey(noteKey(name, type, new Uint8Array(32).fill(byte)))
const [one, two] = [vkey('one.example/w', 1), vkey('two.example/w', 2)]

const written = (of: readonly string[], { quorum = 1, url = 'https://w.example' } = {}) =>
  `witnesses: { quorum: ${quorum}, of: [${of.map((key) => `{ url: "${url}", key: "${key}" }`).join(', ')}] }\nrules:`

const setWith = (witnesses: string, edit: (policy: string) => string = (policy) => policy) =>
  parsePolicySet({
    ...officerFiles,
    policy: edit(officerFiles.policy.replace('rules:', witnesses)),
  })
const plain = parsePolicySet(officerFiles)

/** What the load says of witnesses; the set has other faults, which are other tests' business. */
const refusal = (set: typeof plain) => {
  const why = whyNotLoaded(set, NOW)
  return why !== null && why.includes('witness') ? why : null
}

describe('witnesses', () => {
  test('are part of the set, and read back; a set without any keeps its digest', () => {
    const set = setWith(written([one, two], { quorum: 2 }))
    expect(set.witnesses).toEqual({
      quorum: 2,
      of: [one, two].map((key) => ({ url: 'https://w.example', key })),
    })
    const { roster: _, ...read } = decodePolicySet(policySetBytes(set))
    expect(read.witnesses).toEqual(set.witnesses)
    expect(read.digest).toEqual(set.digest)
    expect(plain).not.toHaveProperty('witnesses')
    expect(Buffer.from(policySetBytes(plain)).includes('witnesses')).toBe(false)
  })

  test.each([
    ['more than there are', written([one], { quorum: 2 }), /quorum is 2, of 1/],
    ['none at all', written([one], { quorum: 0 }), /at least 1/],
    ['one key under two names', written([one, vkey('three.example/w', 1)]), /same key/],
    ['a key that is none', written(['one']), /NAME\+ID\+KEY/],
    ['plain http', written([one], { url: 'http://w.example' }), /https/],
    ['a secret in the address', written([one], { url: 'https://u:p@w.example' }), /no user/],
    ['a query', written([one], { url: 'https://w.example/?a=1' }), /no user, query/],
  ])('are refused with %s', (_name, witnesses, reason) => {
    expect(() => setWith(witnesses)).toThrow(reason)
  })

  test('of a changed set are told to whoever decides', () => {
    expect(compare(plain, setWith(written([one])))).toEqual([
      { direction: 'looser', text: 'new: 1 of 1 witnesses cosign' },
      { direction: 'looser', text: `new: witness ${one} at https://w.example` },
    ])
  })

  test('have keys of their own kind', () => {
    expect(refusal(setWith(written([one])))).toBeNull()
    const log = vkey('one.example/w', 1, ED25519)
    expect(refusal(setWith(written([log])))).toContain('is no key of a witness')
    expect(refusal(setWith(written([one.replace(/\+[0-9a-f]{8}\+/, '+00000000+')])))).toContain(
      'the id in a vkey is not its key',
    )
  })
})

describe('a rule that requires a witness', () => {
  test('needs one to ask', () => {
    expect(refusal(plain)).toBe(
      'witness: BREAK-GLASS asks for one, and policy.yaml names no witnesses:',
    )
  })

  test('is for online keys: neither a recovery nor a change of officers waits for one', () => {
    const inRecovery = setWith(written([one]), (policy) =>
      policy.replace(/(id: RECOVERY[^]*?channel: \{ cli: 1 \})/, '$1\n    witness: required'),
    )
    expect(refusal(inRecovery)).toBe(
      'witness: RECOVERY asks for one, which goes with key: [online] alone',
    )
    const ofPolicies = setWith(written([one]), (policy) =>
      policy.replace(/(id: CHANGE[^]*?executeBy: 24h)/, '$1\n    witness: required'),
    )
    expect(refusal(ofPolicies)).toContain('witness: CHANGE asks')
  })
})
