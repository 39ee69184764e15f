import { describe, expect, test } from 'vitest'
import { compare } from '../../src/policy/compare.ts'
import { parsePolicySet } from '../../src/policy/parse.ts'
import { edited, officerFiles } from './officers.ts'

const old = parsePolicySet(officerFiles)

function differences(...edit: Parameters<typeof edited>): string[] {
  const next = parsePolicySet(edited(...edit))
  return compare(old, next).map(({ direction, text }) => `${direction}: ${text}`)
}

test('layout, comments and the names of rules are no difference', () => {
  expect(compare(old, old)).toEqual([])
  expect(differences('policy', 'env: dev', 'env: dev # a comment')).toEqual([])
  expect(differences('policy', 'id: HANDLE', 'id: NAMES')).toEqual([])
})

type Row = { what: string; edit: Parameters<typeof edited>; says: RegExp }

const rows: readonly Row[] = [
  {
    what: 'k lowered',
    edit: ['policy', 'k: 2', 'k: 1'],
    says: /^looser: .*2 of security.* → .*1 of security/,
  },
  {
    what: 'k raised',
    edit: ['policy', 'k: 2', 'k: 3'],
    says: /^tighter: .*2 of security.* → .*3 of security/,
  },
  {
    what: 'a member less',
    edit: ['policy', 'k: 2, of: [alice, bob, carol]', 'k: 2, of: [alice, carol]'],
    says: /^tighter: .*\(alice, bob, carol\).* → .*\(alice, carol\)/,
  },
  {
    what: 'separation dropped',
    edit: ['policy', '    separate: { orgs: 2 }\n', ''],
    says: /^looser: .*from 2 organisations/,
  },
  {
    what: 'a wider match',
    edit: [
      'policy',
      'diff: [services.atproto_pds]',
      'diff: [services.atproto_pds, services.other]',
    ],
    says: /^looser: update by online keys changing .*services\.other.*: denied → 2 persons/,
  },
  {
    what: 'a value set dropped',
    edit: ['policy', ', to: [ours]', ''],
    says: /^looser: .* to values outside ours: denied → allowed without approval/,
  },
  {
    what: 'a quorum dropped',
    edit: ['policy', /require: security[^]*?delay: 1h/, 'require: none'],
    says: /^looser: .*: 2 persons.* → allowed without approval/,
  },
  {
    what: 'a longer expiry',
    edit: ['policy', 'executeBy: 4h', 'executeBy: 8h'],
    says: /^looser: .*signed within 4h.* → .*signed within 8h/,
  },
  {
    what: 'a shorter delay',
    edit: ['policy', 'delay: 1h', 'delay: 1m'],
    says: /^looser: .*then 1h of delay.* → .*then 1m of delay/,
  },
  {
    what: 'a limit raised',
    edit: ['policy', 'global: 500', 'global: 501'],
    says: /^looser: .*at most 500 for all.* → .*at most 501 for all/,
  },
  {
    what: 'the command line dropped',
    edit: ['policy', '    channel: { cli: 1 }\n', ''],
    says: /^looser: ceremony by recovery keys: /,
  },
  {
    what: 'a rule dropped',
    edit: ['policy', /  - \{ id: GENESIS[^\n]*\n/, ''],
    says: /^tighter: genesis by online keys asked by alpha.*: allowed without approval → denied/,
  },
  {
    what: 'a value more',
    edit: ['policy', '[example.com,', '[example.org, example.com,'],
    says: /^looser: new: domains\.ours has example\.org/,
  },
  {
    what: 'a lower minimum',
    edit: ['policy', 'nullify: 3', 'nullify: 2'],
    says: /^looser: new: nullify needs at least 2/,
  },
  {
    what: 'another caller',
    edit: ['callers', 'list:', 'list:\n  - { name: gamma, keys: [pds] }'],
    says: /^looser: new: caller gamma may use key pds/,
  },
  {
    what: 'an officer of another organisation',
    edit: ['roster', 'org: bank', 'org: acme'],
    says: /^looser: new: person carol of acme/,
  },
]

describe('a difference is said in words', () => {
  test.each(rows)('$what', ({ edit, says }) => {
    expect(differences(...edit)).toContainEqual(expect.stringMatching(says))
  })

  test('a deny that nothing needed makes no difference', () => {
    expect(differences('policy', /deny:[^]*/, '')).toEqual([])
  })

  test('what is looser comes first', () => {
    const found = differences('policy', 'executeBy: 4h\n    delay: 1h', 'executeBy: 4h')
    const both = differences('policy', /require: security\n.*\n/, 'require: management\n')
    for (const list of [found, both]) {
      const lastLooser = list.findLastIndex((text) => text.startsWith('looser'))
      const firstTighter = list.findIndex((text) => text.startsWith('tighter'))
      expect(firstTighter === -1 || lastLooser < firstTighter).toBe(true)
    }
  })
})
