import { describe, expect, test } from 'vitest'
import { PolicyError } from '../../src/policy/error.ts'
import { parsePolicySet } from '../../src/policy/parse.ts'
import type { PolicyFiles } from '../../src/policy/parse.ts'
import { dids } from './cases.ts'
import { edited, officerFiles, officerKeys, persons, rosterYaml } from './officers.ts'

function refusal(given: PolicyFiles): string {
  try {
    parsePolicySet(given)
    return 'accepted'
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error
    return error.message
  }
}

const whole = parsePolicySet(officerFiles)
const ruleOf = (id: string, set = whole) => set.rules.find((rule) => rule.id === id)!

test('a group becomes a tree of persons in which any and all are a number', () => {
  const person = (id: string) => ({ kind: 'person', id })
  expect(ruleOf('BREAK-GLASS').require).toEqual({
    rule: 'BREAK-GLASS',
    quorum: {
      kind: 'group',
      id: 'everybody',
      k: 2,
      of: [
        {
          kind: 'group',
          id: 'security',
          k: 2,
          of: [person('alice'), person('bob'), person('carol')],
        },
        { kind: 'group', id: 'management', k: 1, of: [person('dora')] },
      ],
    },
    separate: null,
    approveBy: 3600,
    executeBy: 1800,
    delay: 0,
    channel: { cli: 2 },
    witness: true,
    alarm: true,
  })
})

test('a rule with a quorum and a delay', () => {
  expect(ruleOf('MOVE')).toMatchObject({
    require: { separate: { orgs: 2 }, approveBy: 86_400, executeBy: 14_400, delay: 3600 },
    limits: { global: { count: 500, seconds: 3600 }, perDid: null },
  })
  expect(ruleOf('HANDLE').limits.perDid).toEqual({ count: 3, seconds: 604_800 })
})

test('a removed officer stays in their groups as a dead member, and k stays', () => {
  const dead = persons.carol
    .replace('active', 'removed')
    .replace(/credentials:[^]*/, 'credentials: []\n')
  const { alice, bob, dora, erin } = persons
  const set = parsePolicySet({
    ...officerFiles,
    roster: rosterYaml([alice, bob, dead, dora, erin]),
  })
  expect(ruleOf('MOVE', set)).toEqual(ruleOf('MOVE'))
  expect(set.digest).toEqual(whole.digest)
  expect(set.roster?.digest).not.toEqual(whole.roster?.digest)
})

type Edit = Parameters<typeof edited>

const refused: readonly { what: string; edit: Edit; says: string }[] = [
  // thresholds
  { what: 'k of zero', edit: ['policy', 'k: 2', 'k: 0'], says: 'group security: k is 0' },
  { what: 'a negative k', edit: ['policy', 'k: 2', 'k: -1'], says: 'group security: k is -1' },
  {
    what: 'k above the members',
    edit: ['policy', 'k: 2', 'k: 4'],
    says: 'k is 4, but there are 3',
  },
  { what: 'no k', edit: ['policy', 'k: 2, of', 'of'], says: 'groups.security' },
  { what: 'half a k', edit: ['policy', 'k: 2', 'k: 1.5'], says: 'groups.security' },
  { what: 'k as text', edit: ['policy', 'k: 2', 'k: "2"'], says: 'groups.security' },
  { what: 'no members', edit: ['policy', 'any: [dora]', 'any: []'], says: 'groups.management' },
  { what: 'two forms at once', edit: ['policy', 'any: [', 'all: [bob], any: ['], says: 'groups.m' },
  // who
  { what: 'an unknown person', edit: ['policy', '[dora]', '[zoe]'], says: 'zoe is neither' },
  {
    what: 'no officer',
    edit: ['policy', '[dora]', '[erin]'],
    says: 'erin has not the role officer',
  },
  {
    what: 'a person twice',
    edit: ['policy', 'alice, bob', 'alice, alice'],
    says: 'alice is there twice',
  },
  {
    what: 'a person twice in a tree',
    edit: ['policy', '[dora]', '[alice]'],
    says: 'group everybody: person alice is there twice',
  },
  {
    what: 'a group twice in a tree',
    edit: ['policy', 'everybody:', 'x: { any: [management] }\n  everybody:'],
    says: 'accepted',
  },
  {
    what: 'a group twice in a tree, by another way',
    edit: [
      'policy',
      'all: [security, management] }',
      'all: [security, x] }\n  x: { any: [security] }',
    ],
    says: 'person alice is there twice',
  },
  {
    what: 'a group in itself',
    edit: ['policy', '[dora]', '[everybody]'],
    says: 'a member of itself',
  },
  { what: 'a group named like a person', edit: ['policy', /security/g, 'erin'], says: 'same name' },
  { what: 'no roster at all', edit: ['roster', /^[^]*$/, ''], says: 'roster.yaml' },
  // requirements
  {
    what: 'a genesis with a quorum',
    edit: [
      'policy',
      'diff: any }, require: none',
      'diff: any }, require: security, approveBy: 1h, executeBy: 1h',
    ],
    says: 'rule GENESIS: a genesis is allowed or denied',
  },
  {
    what: 'a genesis limited for each',
    edit: [
      'policy',
      'diff: any }, require: none',
      'diff: any }, require: none, limits: { perDid: 1/1d }',
    ],
    says: 'a genesis has no identity yet',
  },
  {
    what: 'an act without a quorum',
    edit: [
      'policy',
      'key: [none], diff: any }\n    require: everybody\n    approveBy: 24h\n    executeBy: 24h',
      'key: [none], diff: any }\n    require: none',
    ],
    says: 'rule CHANGE: require',
  },
  {
    what: 'a limit on an act',
    edit: [
      'policy',
      'executeBy: 24h\n  - id: REC',
      'executeBy: 24h\n    limits: { global: 1/1d }\n  - id: REC',
    ],
    says: 'rule CHANGE: limits',
  },
  {
    what: 'no approveBy',
    edit: ['policy', 'approveBy: 24h\n    executeBy: 4h', 'executeBy: 4h'],
    says: 'rule MOVE: approveBy: say how long',
  },
  {
    what: 'no executeBy',
    edit: ['policy', '    executeBy: 4h\n', ''],
    says: 'rule MOVE: executeBy: say',
  },
  {
    what: 'a time in words',
    edit: ['policy', '    executeBy: 4h', '    executeBy: soon'],
    says: 'rule MOVE: executeBy: write a time',
  },
  {
    what: 'a time of 31 days',
    edit: ['policy', '    executeBy: 4h', '    executeBy: 31d'],
    says: 'at most 30d',
  },
  ...[
    'separate: { orgs: 2 }',
    'approveBy: 1h',
    'executeBy: 1h',
    'delay: 1h',
    'channel: { cli: 1 }',
    'witness: required',
    'alarm: true',
  ].map((key) => ({
    what: `${key} without a quorum`,
    edit: [
      'policy',
      'to: [ours] }\n    require: none',
      `to: [ours] }\n    require: none\n    ${key}`,
    ] satisfies Edit,
    says: `rule HANDLE: ${key.split(':')[0]} goes with a quorum`,
  })),
  {
    what: 'one organisation',
    edit: ['policy', 'orgs: 2', 'orgs: 1'],
    says: 'separate.orgs: at least 2',
  },
  {
    what: 'more organisations than persons',
    edit: ['policy', 'orgs: 2', 'orgs: 4'],
    says: 'separate.orgs is 4, but',
  },
  {
    what: 'no command line',
    edit: ['policy', 'cli: 1', 'cli: 0'],
    says: 'channel.cli: at least 1',
  },
  {
    what: 'more command lines than persons',
    edit: ['policy', 'cli: 2', 'cli: 5'],
    says: 'channel.cli is 5',
  },
  {
    what: 'witness as a wish',
    edit: ['policy', 'witness: required', 'witness: true'],
    says: 'witness',
  },
  { what: 'a quiet alarm', edit: ['policy', 'alarm: true', 'alarm: false'], says: 'alarm' },
  {
    what: 'no minimum table',
    edit: ['policy', /minimum:[^}]*}/, ''],
    says: 'policy.yaml: minimum',
  },
  { what: 'a class without a minimum', edit: ['policy', 'thaw: 2', 'thaws: 2'], says: 'minimum' },
  {
    what: 'an unknown publication',
    edit: ['policy', 'publication: 6h', 'publication: long'],
    says: 'publication',
  },
  {
    what: 'a ceremony of nobody',
    edit: ['policy', 'operators: 1', 'operators: 0'],
    says: 'ceremony.operators',
  },
  // value sets
  {
    what: 'an unknown set',
    edit: ['policy', 'to: [ours]', 'to: [theirs]'],
    says: 'no value set theirs',
  },
  {
    what: 'two sets of one kind',
    edit: [
      'policy',
      'ours: [example.com, "*.example.com"]',
      'ours: [example.com]\n  more: [example.org]',
    ],
    says: 'accepted',
  },
  {
    what: 'a set twice',
    edit: ['policy', 'pds: [https', 'ours: [https'],
    says: 'value set ours is there twice',
  },
  {
    what: 'a domain with a scheme',
    edit: ['policy', '[example.com', '["at://example.com"'],
    says: 'domains.ours',
  },
  { what: 'every domain', edit: ['policy', '"*.example.com"', '"*"'], says: 'domains.ours' },
  {
    what: 'a star in the middle',
    edit: ['policy', '"*.example.com"', '"a.*.com"'],
    says: 'domains.ours',
  },
  {
    what: 'a domain in capitals',
    edit: ['policy', '[example.com', '[Example.com'],
    says: 'domains.ours',
  },
  {
    what: 'an endpoint without scheme',
    edit: ['policy', '[https://pds', '[pds'],
    says: 'endpoints.pds',
  },
  {
    what: 'a key that is none',
    edit: ['policy', `["${dids.users}"]`, '["did:key:z1"]'],
    says: 'keys.known',
  },
  {
    what: 'an empty set',
    edit: ['policy', '[https://pds.example.com]', '[]'],
    says: 'endpoints.pds',
  },
  {
    what: 'a set in a deny',
    edit: ['policy', 'op: [tombstone] }', 'op: [tombstone], to: [ours] }'],
    says: '"to"',
  },
  // callers
  { what: 'an unknown operator', edit: ['callers', '[erin]', '[zoe]'], says: 'no person zoe' },
  { what: 'no operator', edit: ['callers', '[erin]', '[]'], says: 'operatedBy' },
  // roster
  {
    what: 'another env',
    edit: ['roster', 'env: dev', 'env: prod'],
    says: 'roster.yaml: env is prod',
  },
  { what: 'epoch zero', edit: ['roster', 'epoch: 1', 'epoch: 0'], says: 'roster.yaml: epoch' },
  {
    what: 'an epoch without the one before',
    edit: ['roster', 'epoch: 1', 'epoch: 2'],
    says: 'previous',
  },
  {
    what: 'something before the first',
    edit: ['roster', 'epoch: 1', `epoch: 1\nprevious: "${'ab'.repeat(32)}"`],
    says: 'previous',
  },
  {
    what: 'an IP address as origin',
    edit: ['roster', 'http://localhost:2590', 'https://127.0.0.1'],
    says: 'rp.origins',
  },
  {
    what: 'plain http',
    edit: ['roster', '"http://localhost:2590"] }', '"http://a.localhost"] }'],
    says: 'rp.origins',
  },
  {
    what: 'another host',
    edit: [
      'roster',
      'id: localhost, origins: ["http://localhost:2590"]',
      'id: a.example, origins: ["https://b.example"]',
    ],
    says: 'rp.origins',
  },
  { what: 'an origin with a path', edit: ['roster', ':2590"', ':2590/"'], says: 'rp.origins' },
  {
    what: 'a person twice',
    edit: ['roster', '- id: bob', '- id: alice'],
    says: 'person alice is there twice',
  },
  { what: 'an unknown role', edit: ['roster', '[officer]', '[boss]'], says: 'persons.0.roles' },
  { what: 'no role', edit: ['roster', '[officer]', '[]'], says: 'persons.0.roles' },
  { what: 'an unknown status', edit: ['roster', 'status: active', 'status: away'], says: 'status' },
  {
    what: 'a removed person with credentials',
    edit: ['roster', 'status: active', 'status: removed'],
    says: 'is removed, and so has no credentials',
  },
  {
    what: 'a time without a zone',
    edit: ['roster', '2026-01-01T00:00:00Z', '2026-01-01T00:00:00'],
    says: 'from: write a time',
  },
  {
    what: 'an end before the start',
    edit: ['roster', 'until: 2036', 'until: 2025'],
    says: 'until is not after from',
  },
  { what: 'no end', edit: ['roster', ', until: 2036-01-01T00:00:00Z', ''], says: 'until' },
  {
    what: 'a key that is none',
    edit: ['roster', /did: "[^"]*"/, 'did: "did:key:zAAA"'],
    says: 'did is not a did:key',
  },
  {
    what: 'a passkey of another length',
    edit: ['roster', /key: pQ.../, 'key: pQ'],
    says: 'not an ES256 key',
  },
  {
    what: 'another algorithm',
    edit: ['roster', 'key: pQECAyYgAS', 'key: pQECAycgAS'],
    says: 'not an ES256 key',
  },
  {
    what: 'a credential id with padding',
    edit: ['roster', /id: cGFzc2tleSBvZiBhbGljZQ/, 'id: "cGFzc2tleSBvZiBhbGljZQ=="'],
    says: 'base64url',
  },
  {
    what: 'a second spelling of an id',
    edit: ['roster', /id: cGFzc2tleSBvZiBhbGljZQ/, 'id: cGFzc2tleSBvZiBhbGljZR'],
    says: 'not the one base64url form',
  },
]

describe('a set with officers is refused as a whole, naming file and field', () => {
  test.each(refused)('$what: $says', ({ edit, says }) => {
    expect(refusal(edited(...edit))).toContain(says)
  })
})

describe('one credential is one person', () => {
  const keyOf = (yaml: string) => /did: "([^"]*)"/.exec(yaml)![1]!
  const passkeyOf = (yaml: string) => /key: (pQ[^\n]*)/.exec(yaml)![1]!
  const idOf = (yaml: string) => /- kind: webauthn\n *id: (\S+)/.exec(yaml)![1]!

  test.each([
    { what: 'a key of two persons', from: keyOf(persons.bob), to: keyOf(persons.alice) },
    {
      what: 'a passkey of two persons',
      from: passkeyOf(persons.bob),
      to: passkeyOf(persons.alice),
    },
    { what: 'a credential id of two persons', from: idOf(persons.bob), to: idOf(persons.alice) },
  ])('$what', ({ from, to }) => {
    expect(refusal(edited('roster', from, to))).toMatch(/person bob: .* is one of alice already/)
  })

  test('a key twice with one person', () => {
    const line = persons.alice.split('\n').find((text) => text.includes('did:key'))!
    const twice = `${line}\n${line.replace('alice-cli', 'alice-second')}`
    expect(refusal(edited('roster', line, twice))).toMatch(
      /person alice: .* is one of alice already/,
    )
  })

  test('a did:key that is the passkey of another person', async () => {
    const { passkey } = await officerKeys('alice')
    expect(refusal(edited('roster', keyOf(persons.bob), passkey))).toMatch(
      /person bob: .* is one of alice already/,
    )
  })

  test.each([
    { what: 'an online key', did: dids.online },
    { what: 'a recovery key', did: dids.recovery },
  ])('$what is a rotation key and never a credential', ({ did }) => {
    expect(refusal(edited('roster', keyOf(persons.alice), did))).toMatch(
      /person alice: credential alice-cli is the rotation key/,
    )
  })
})

describe('the digest of a roster', () => {
  const digestOf = (files: PolicyFiles) =>
    Buffer.from(parsePolicySet(files).roster!.digest).toString('hex')
  const digest = digestOf(officerFiles)

  test('does not depend on the order of persons', () => {
    const reversed = rosterYaml(Object.values(persons).toReversed())
    expect(digestOf({ ...officerFiles, roster: reversed })).toBe(digest)
  })

  test.each<Edit>([
    ['roster', 'org: acme', 'org: other'],
    ['roster', '[officer]', '[officer, auditor]'],
    ['roster', 'until: 2036', 'until: 2035'],
    ['roster', 'localhost:2590', 'localhost:2591'],
    ['roster', 'backupEligible: false', 'backupEligible: true'],
    ['roster', 'alice-cli', 'alice-key'],
    ['roster', '00000000-', '10000000-'],
  ])('is changed in %s by %s → %s', (...edit) => {
    expect(digestOf(edited(...edit))).not.toBe(digest)
  })

  test('is no part of the digest of the policies', () => {
    const other = parsePolicySet(edited('roster', 'org: acme', 'org: other'))
    expect(other.digest).toEqual(whole.digest)
  })
})
