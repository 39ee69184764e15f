import { hash } from 'node:crypto'
import * as dagCbor from '@ipld/dag-cbor'
import { describe, expect, test } from 'vitest'
import { PolicyError } from '../../src/policy/error.ts'
import { parsePolicySet } from '../../src/policy/parse.ts'
import type { PolicyFiles } from '../../src/policy/parse.ts'
import { homesOf } from '../../src/policy/policy-set.ts'
import { dids } from './cases.ts'

const keys = `
keys: holdfast/keys/v1
list:
  - id: pds
    class: online
    curve: K-256
    did: ${dids.online}
    uri: file:pds
    development: true
  - id: recovery
    class: recovery
    curve: P-256
    did: ${dids.recovery2}
`
const callers = `
callers: holdfast/callers/v1
list:
  - name: alpha
    keys: [pds]
  - name: beta
    keys: [pds]
`
const policy = `
policy: holdfast/policy/v1
env: dev
rules:
  - id: GENESIS
    match: { op: [genesis], key: [online], diff: any }
    require: none
  - id: DEPARTURE
    match: { op: [departure, update], key: [online], diff: [alsoKnownAs, none], caller: [alpha] }
    require: none
    limits: { global: 20/1d }
deny:
  - id: NEVER
    match: { op: [tombstone], diff: [services.other], key: [online], caller: [beta] }
`
const files: PolicyFiles = { keys, callers, policy }

type Name = 'keys' | 'callers' | 'policy'

/** The files with one thing changed; the thing must be there. */
function edit(name: Name, from: string, to: string): PolicyFiles {
  const text = files[name]?.replace(from, to)
  if (text === files[name]) throw new Error(`${name}.yaml of this test has no ${from}`)
  return { ...files, [name]: text }
}

function refusal(given: PolicyFiles): string {
  try {
    parsePolicySet(given)
    return 'accepted'
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error
    return error.message
  }
}

const hex = (given: PolicyFiles) => Buffer.from(parsePolicySet(given).digest).toString('hex')

test('a whole set', () => {
  const { digest, ...set } = parsePolicySet(files)
  expect(digest).toHaveLength(32)
  expect(set).toEqual({
    env: 'dev',
    keys: [
      {
        id: 'pds',
        class: 'online',
        curve: 'K-256',
        did: dids.online,
        uri: 'file:pds',
        development: true,
      },
      {
        id: 'recovery',
        class: 'recovery',
        curve: 'P-256',
        did: dids.recovery2,
        uri: null,
        development: false,
      },
    ],
    callers: [
      { name: 'alpha', keys: ['pds'] },
      { name: 'beta', keys: ['pds'] },
    ],
    rules: [
      {
        id: 'GENESIS',
        match: { op: ['genesis'], key: ['online'], diff: 'any' },
        require: 'none',
        limits: { global: null, perDid: null },
      },
      {
        id: 'DEPARTURE',
        match: {
          op: ['departure', 'update'],
          key: ['online'],
          diff: ['alsoKnownAs', 'none'],
          caller: ['alpha'],
        },
        require: 'none',
        limits: { global: { count: 20, seconds: 86_400 }, perDid: null },
      },
    ],
    denies: [
      {
        id: 'NEVER',
        match: { op: ['tombstone'], diff: ['services.other'], key: ['online'], caller: ['beta'] },
      },
    ],
    groups: [],
    valueSets: [],
    minimum: null,
    notify: null,
    publication: null,
    ceremony: null,
    roster: null,
  })
})

test('a key with two homes, and a retired one', () => {
  const text = keys.replace('uri: file:pds', 'homes: [file:a, file:b]\n    retired: true')
  const [key, recovery] = parsePolicySet({ ...files, keys: text }).keys
  expect(key).toMatchObject({ uri: 'file:a', homes: ['file:a', 'file:b'], retired: true })
  expect(homesOf(key!)).toEqual(['file:a', 'file:b'])
  expect(homesOf(recovery!)).toEqual([])
  expect(homesOf(parsePolicySet(files).keys[0]!)).toEqual(['file:pds'])
})

test('nothing of a set can be changed once it is parsed', () => {
  const set = parsePolicySet(files)
  const parts = [set, set.keys, set.keys[0], set.callers[0]!.keys, set.rules[0]!.match, set.denies]
  expect(parts.every((part) => Object.isFrozen(part))).toBe(true)
  expect(Object.isFrozen(set.rules[1]!.limits.global)).toBe(true)
})

test('deny may be left out; in a deny entry everything but the id may be', () => {
  const without = { ...files, policy: policy.slice(0, policy.indexOf('deny:')) }
  expect(parsePolicySet(without).denies).toEqual([])
  const all = { ...files, policy: `${without.policy}deny: [{ id: ALL, match: {} }]\n` }
  expect(parsePolicySet(all).denies).toEqual([{ id: 'ALL', match: {} }])
})

type Edit = [Name, string, string]

const refused: readonly { what: string; edit: Edit; says: string }[] = [
  // every file
  ...(['keys', 'callers', 'policy'] as const).flatMap((name): (typeof refused)[number][] => [
    { what: 'another version', edit: [name, '/v1', '/v2'], says: `${name}.yaml: ${name}:` },
    { what: 'no version', edit: [name, `${name}: holdfast/${name}/v1`, ''], says: `${name}.yaml:` },
    { what: 'unknown key', edit: [name, '/v1', '/v1\nextra: 1'], says: '"extra"' },
    { what: 'a prototype', edit: [name, '/v1', '/v1\n__proto__: {}'], says: '"__proto__"' },
    { what: 'duplicate key', edit: [name, '/v1', `/v1\n${name}: x`], says: 'must be unique' },
    { what: 'anchor', edit: [name, '/v1', `/v1\nx: &x y`], says: 'an anchor' },
    { what: 'second document', edit: [name, '/v1', '/v1\n---\na: b'], says: 'one document' },
  ]),
  // keys
  { what: 'unknown key field', edit: ['keys', 'id: pds', 'id: pds\n    pin: x'], says: '"pin"' },
  { what: 'an id in capitals', edit: ['keys', 'id: pds', 'id: PDS'], says: 'list.0.id' },
  { what: 'an id with a path', edit: ['keys', 'id: pds', 'id: ../pds'], says: 'list.0.id' },
  { what: 'an empty id', edit: ['keys', 'id: pds', 'id: ""'], says: 'list.0.id' },
  {
    what: 'an id of 64 characters',
    edit: ['keys', 'id: pds', `id: ${'a'.repeat(64)}`],
    says: 'list.0.id',
  },
  { what: 'an unknown class', edit: ['keys', 'class: online', 'class: offline'], says: 'class' },
  { what: 'an unknown curve', edit: ['keys', 'K-256', 'P-384'], says: 'list.0.curve' },
  { what: 'the wrong curve', edit: ['keys', 'K-256', 'P-256'], says: 'a K-256 key, but curve' },
  { what: 'no did:key', edit: ['keys', dids.online, 'did:plc:abc'], says: 'key pds: did is not' },
  {
    what: 'a did:key off the curve',
    edit: ['keys', dids.online, `${dids.online.slice(0, -1)}1`],
    says: 'key pds: did is not',
  },
  { what: 'online without uri', edit: ['keys', 'uri: file:pds', ''], says: 'needs a uri' },
  ...(['retired', 'exposed'] as const).map((mark) => ({
    what: `a recovery key that is ${mark}`,
    edit: ['keys', 'id: recovery', `id: recovery\n    ${mark}: true`] satisfies Edit,
    says: `key recovery: ${mark} is for online keys`,
  })),
  {
    what: 'a uri and homes',
    edit: ['keys', 'id: pds', 'id: pds\n    homes: [file:a, file:b]'],
    says: 'key pds: has a uri and homes',
  },
  {
    what: 'one home',
    edit: ['keys', 'uri: file:pds', 'homes: [file:a]'],
    says: 'list.0.homes: name two places or more',
  },
  {
    what: 'five homes',
    edit: ['keys', 'uri: file:pds', 'homes: [file:a, file:b, file:c, file:d, file:e]'],
    says: 'list.0.homes',
  },
  {
    what: 'the same home twice',
    edit: ['keys', 'uri: file:pds', 'homes: [file:a, file:a]'],
    says: 'home of key pds file:a is there twice',
  },
  {
    what: 'recovery with homes',
    edit: ['keys', 'id: recovery', 'id: recovery\n    homes: [file:a, file:b]'],
    says: 'stays offline',
  },
  {
    what: 'recovery with uri',
    edit: ['keys', 'id: recovery', 'id: recovery\n    uri: file:r'],
    says: 'stays offline',
  },
  {
    what: 'a long uri',
    edit: ['keys', 'file:pds', `file:${'p'.repeat(1020)}`],
    says: 'list.0.uri',
  },
  { what: 'development as text', edit: ['keys', 'true', '"true"'], says: 'development' },
  {
    what: 'duplicate id',
    edit: ['keys', 'id: recovery', 'id: pds'],
    says: 'id pds is there twice',
  },
  {
    what: 'duplicate did',
    edit: ['keys', `P-256\n    did: ${dids.recovery2}`, `K-256\n    did: ${dids.online}`],
    says: `did ${dids.online} is there twice`,
  },
  { what: 'no list', edit: ['keys', 'list:', 'lists:'], says: 'keys.yaml: ' },
  {
    what: 'exposed as text',
    edit: ['keys', 'id: pds', 'id: pds\n    exposed: "yes"'],
    says: 'exposed',
  },
  // callers
  {
    what: 'a pds that is no address',
    edit: ['callers', '[pds]', '[pds]\n    pds: pds.example'],
    says: 'caller alpha: pds is the address',
  },
  {
    what: 'one pds for two callers',
    edit: [
      'callers',
      '[pds]\n  - name: beta',
      '[pds]\n    pds: https://p.example\n  - name: beta\n    pds: https://p.example/',
    ],
    says: 'pds https://p.example is there twice',
  },
  {
    what: 'a pds of more than 512 characters',
    edit: ['callers', '[pds]', `[pds]\n    pds: https://${'p'.repeat(512)}`],
    says: 'list.0.pds',
  },
  { what: 'no keys', edit: ['callers', '[pds]', '[]'], says: 'list.0.keys: must not be empty' },
  { what: 'an unknown key', edit: ['callers', '[pds]', '[other]'], says: 'no key other' },
  { what: 'a recovery key', edit: ['callers', '[pds]', '[recovery]'], says: 'callers use online' },
  { what: 'a key twice', edit: ['callers', '[pds]', '[pds, pds]'], says: 'pds is there twice' },
  { what: 'duplicate caller', edit: ['callers', 'beta', 'alpha'], says: 'alpha is there twice' },
  { what: 'a name in capitals', edit: ['callers', 'alpha', 'Alpha'], says: 'list.0.name' },
  { what: 'unknown caller field', edit: ['callers', 'keys: [', 'key: ['], says: 'list.0' },
  // policy
  { what: 'an unknown env', edit: ['policy', 'env: dev', 'env: test'], says: 'env' },
  { what: 'no env', edit: ['policy', 'env: dev', ''], says: 'env' },
  { what: 'no rules', edit: ['policy', 'rules:', 'rule:'], says: 'policy.yaml: ' },
  { what: 'an id in small letters', edit: ['policy', 'GENESIS', 'genesis'], says: 'rules.0.id' },
  { what: 'an id twice', edit: ['policy', 'DEPARTURE', 'GENESIS'], says: 'GENESIS is there twice' },
  { what: 'a deny with the id of a rule', edit: ['policy', 'NEVER', 'GENESIS'], says: 'twice' },
  ...['PLC-MINE', 'PREV-MINE', 'DID-MINE', 'POLICY-UNMATCHED'].flatMap((id) => [
    {
      what: `reserved id ${id}`,
      edit: ['policy', 'GENESIS', id] satisfies Edit,
      says: 'are kept for',
    },
    {
      what: `reserved id ${id}`,
      edit: ['policy', 'NEVER', id] satisfies Edit,
      says: 'are kept for',
    },
  ]),
  { what: 'an unknown class', edit: ['policy', '[genesis]', '[birth]'], says: 'rules.0.match.op' },
  { what: 'no class', edit: ['policy', '[genesis]', '[]'], says: 'match.op: must not be empty' },
  { what: 'a class that is no list', edit: ['policy', '[genesis]', 'genesis'], says: 'match.op' },
  { what: 'an omitted class', edit: ['policy', 'op: [genesis], ', ''], says: 'rules.0.match.op' },
  { what: 'an unknown key class', edit: ['policy', '[online]', '[cold]'], says: 'match.key' },
  { what: 'no key class', edit: ['policy', '[online]', '[]'], says: 'key: must not be empty' },
  { what: 'an omitted key class', edit: ['policy', ' key: [online],', ''], says: 'match.key' },
  { what: 'an unknown change', edit: ['policy', '[alsoKnownAs', '[handle'], says: 'match.diff' },
  { what: 'no change', edit: ['policy', '[alsoKnownAs, none]', '[]'], says: 'match.diff' },
  { what: 'any in a list', edit: ['policy', '[alsoKnownAs', '[any'], says: 'match.diff' },
  { what: 'omitted changes', edit: ['policy', ', diff: any', ''], says: 'rules.0.match.diff' },
  { what: 'an unknown caller', edit: ['policy', '[alpha]', '[gamma]'], says: 'no caller gamma' },
  { what: 'no caller', edit: ['policy', '[alpha]', '[]'], says: 'caller: must not be empty' },
  {
    what: 'an unknown caller in deny',
    edit: ['policy', '[beta]', '[gamma]'],
    says: 'deny NEVER: no caller gamma',
  },
  { what: 'an empty list in deny', edit: ['policy', '[tombstone]', '[]'], says: 'deny.0.match.op' },
  { what: 'an unknown match field', edit: ['policy', 'caller: [', 'form: ['], says: '"form"' },
  { what: 'no such group', edit: ['policy', 'require: none', 'require: x'], says: 'no group x' },
  { what: 'no require', edit: ['policy', '    require: none\n', ''], says: 'rules.0.require' },
  {
    what: 'an unknown limit',
    edit: ['policy', '{ global:', '{ perCaller:'],
    says: 'rules.1.limits',
  },
  ...['0/1d', '020/1d', '20/0d', '20/1', '20/1w', '20 / 1d', '1.5/1d', '-1/1d', '20/d', '20'].map(
    (limit) => ({
      what: `limit ${limit}`,
      edit: ['policy', '20/1d', `"${limit}"`] satisfies Edit,
      says: 'rule DEPARTURE: limits.global',
    }),
  ),
  { what: 'a limit as number', edit: ['policy', '20/1d', '20'], says: 'limits.global' },
  { what: 'a limit too long', edit: ['policy', '20/1d', '1000000000/1d'], says: 'limits.global' },
]

test('what is left out of a key or a caller is not there at all', () => {
  const {
    keys: [key],
    callers: [caller],
  } = parsePolicySet(files)
  expect([key, caller].map((entry) => Object.keys(entry!))).toEqual([
    ['id', 'class', 'curve', 'did', 'uri', 'development'],
    ['name', 'keys'],
  ])
  const seen = parsePolicySet(edit('keys', 'id: pds', 'id: pds\n    exposed: true'))
  expect(seen.keys[0]).toEqual({ ...key, exposed: true })
  const known = parsePolicySet(edit('callers', '[pds]', '[pds]\n    pds: https://p.example/'))
  expect(known.callers[0]).toEqual({ ...caller, pds: 'https://p.example' })
})

describe('a set is refused as a whole, naming file and field', () => {
  test.each(refused)('$what: $says', ({ edit: [name, from, to], says }) => {
    const message = refusal(edit(name, from, to))
    expect(message).toContain(says)
    expect(message).toMatch(new RegExp(`^${name}\\.yaml:`))
  })
})

test.each([
  { text: '20/90s', limit: { count: 20, seconds: 90 } },
  { text: '1/10m', limit: { count: 1, seconds: 600 } },
  { text: '500/1h', limit: { count: 500, seconds: 3600 } },
  { text: '999999999/9999d', limit: { count: 999_999_999, seconds: 9999 * 86_400 } },
])('limit $text', ({ text, limit }) => {
  const { rules } = parsePolicySet(edit('policy', '20/1d', text))
  expect(rules[1]!.limits.global).toEqual(limit)
})

describe('the digest', () => {
  test('is SHA-256 of the canonical content, so that another implementation can check it', () => {
    const { digest, roster: _roster, ...content } = parsePolicySet(files)
    const canonical = dagCbor.encode({ format: 'holdfast/policy-set/v1', ...content })
    expect(hex(files)).toBe(hash('sha256', canonical, 'hex'))
    expect(digest).toHaveLength(32)
  })

  const same: readonly { what: string; files: PolicyFiles }[] = [
    { what: 'a comment', files: edit('policy', 'env: dev', '# why\nenv: dev # because') },
    { what: 'quotes', files: edit('policy', 'env: dev', '"env": "dev"') },
    { what: 'a flow list', files: edit('callers', 'keys: [pds]', 'keys:\n      - pds') },
    {
      what: 'the order of keys',
      files: edit('policy', '{ op: [genesis], key: [online]', '{ key: [online], op: [genesis]'),
    },
    { what: 'a document start', files: { ...files, policy: `---${policy}` } },
    {
      what: 'a default written out',
      files: edit('keys', 'id: recovery', 'id: recovery\n    development: false'),
    },
    {
      what: 'another default written out',
      files: edit('keys', 'id: recovery', 'id: recovery\n    exposed: false'),
    },
    { what: 'a limit in another unit', files: edit('policy', '20/1d', '20/24h') },
  ]
  test.each(same)('is not changed by $what', ({ files: given }) => {
    expect(hex(given)).toBe(hex(files))
  })

  const other: readonly Edit[] = [
    ['keys', 'id: recovery', 'id: cold'],
    ['keys', `curve: P-256\n    did: ${dids.recovery2}`, `curve: K-256\n    did: ${dids.recovery}`],
    ['keys', 'class: recovery', 'class: online\n    uri: file:b'],
    ['keys', 'uri: file:pds', 'uri: file:pds2'],
    ['keys', 'development: true', 'development: false'],
    ['keys', 'id: pds', 'id: pds\n    exposed: true'],
    ['callers', '[pds]', '[pds]\n    pds: https://p.example'],
    ['callers', '[pds]', '[pds]\n    pds: https://q.example'],
    [
      'callers',
      'name: beta\n    keys: [pds]',
      'name: beta\n    keys: [pds]\n  - name: c\n    keys: [pds]',
    ],
    ['policy', 'env: dev', 'env: prod'],
    ['policy', 'GENESIS', 'BIRTH'],
    ['policy', '[genesis]', '[update]'],
    ['policy', '[online]', '[online, recovery]'],
    ['policy', 'diff: any', 'diff: [none]'],
    ['policy', '[alsoKnownAs, none]', '[alsoKnownAs]'],
    ['policy', ', caller: [alpha]', ''],
    ['policy', 'caller: [alpha]', 'caller: [beta]'],
    ['policy', '20/1d', '21/1d'],
    ['policy', '20/1d', '20/2d'],
    ['policy', '    limits: { global: 20/1d }\n', ''],
    ['policy', 'NEVER', 'EVER'],
    ['policy', '[tombstone]', '[tombstone, update]'],
    ['policy', 'op: [tombstone], ', ''],
  ]
  test.each(other)('is changed in %s by %s → %s', (name, from, to) => {
    expect(hex(edit(name, from, to))).not.toBe(hex(files))
  })

  test('every one of those sets has a digest of its own', () => {
    const digests = other.map((row) => hex(edit(...row)))
    expect(new Set(digests).size).toBe(other.length)
  })
})
