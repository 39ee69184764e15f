import { describe, expect, test } from 'vitest'
import { analyse, refusals } from '../../src/policy/analyse.ts'
import { parsePolicySet } from '../../src/policy/parse.ts'
import type { PolicyFiles } from '../../src/policy/parse.ts'
import { NOW } from './cases.ts'
import { edited, officerFiles, personYaml, persons, rosterYaml } from './officers.ts'

/** Enough officers that nobody is needed, and a policy that keeps everything it must keep. */
const sound: PolicyFiles & { readonly policy: string; readonly roster: string } = {
  ...officerFiles,
  policy: officerFiles.policy
    .replace('    separate: { orgs: 2 }\n', '')
    .replace('    alarm: true', '    separate: { orgs: 2 }\n    alarm: true')
    .replace('{ any: [dora] }', '{ any: [dora, frank] }')
    .replace('k: 2, of: [alice, bob, carol]', 'k: 2, of: [alice, bob, carol, gina]')
    .replace(
      'executeBy: 24h\n  - id: REC',
      'executeBy: 24h\n    delay: 1h\n    channel: { cli: 2 }\n    witness: required\n    separate: { orgs: 2 }\n  - id: REC',
    ),
  roster: rosterYaml([
    ...Object.values(persons),
    await personYaml('frank'),
    await personYaml('gina', { org: 'bank' }),
  ]),
}

const problems = (files: PolicyFiles, now = NOW) =>
  analyse(parsePolicySet(files), now).problems.map(({ check, message }) => `${check}: ${message}`)

function changed(name: 'policy' | 'roster', ...edits: readonly [string | RegExp, string][]) {
  let text = sound[name]
  for (const [from, to] of edits) {
    const next = text.replace(from, to)
    if (next === text) throw new Error(`no ${String(from)}`)
    text = next
  }
  return { ...sound, [name]: text }
}

test('a sound set has no problem, and says which rules meet', () => {
  const { problems: found, overlaps, cells } = analyse(parsePolicySet(sound), NOW)
  expect(found).toEqual([])
  expect(cells).toBeGreaterThan(20)
  expect(overlaps).toContainEqual({ rules: ['MOVE', 'BREAK-GLASS'] })
  expect(overlaps).toContainEqual({ rules: ['HANDLE', 'BREAK-GLASS'] })
})

type Row = { what: string; edits: [string | RegExp, string][]; says: RegExp }

const policyRows: readonly Row[] = [
  {
    what: 'fewer persons than the table says',
    edits: [['nullify: 3', 'nullify: 4']],
    says: /^minimum: nullify must need 4 persons, but by RECOVERY it passes with 3/,
  },
  {
    what: 'an allow in a class that needs somebody',
    edits: [['update: 0', 'update: 1']],
    says: /^minimum: update must need 1 persons, but by HANDLE it passes with 0/,
  },
  {
    what: 'a recovery key without the command line',
    edits: [[/channel: \{ cli: 1 \}/, 'delay: 1s']],
    says: /^recovery-cli: RECOVERY/,
  },
  {
    what: 'a policy change by fewer than the strictest class',
    edits: [
      [
        'key: [none], diff: any }\n    require: everybody',
        'key: [none], diff: any }\n    require: security',
      ],
    ],
    says: /^change-strictness: policy changes by less \(CHANGE\) than update needs \(.*BREAK-GLASS.*\): .* would be enough/,
  },
  {
    what: 'a roster change from fewer command lines',
    edits: [['delay: 1h\n    channel: { cli: 2 }', 'delay: 1h']],
    says: /^change-strictness: roster changes by less .*: channel.cli is 0, not 2/,
  },
  {
    what: 'a policy change without the delay of what it governs',
    edits: [['executeBy: 24h\n    delay: 1h', 'executeBy: 24h']],
    says: /^change-strictness: policy .*: the delay is 0 s, not 3600 s/,
  },
  {
    what: 'a policy change by one organisation',
    edits: [['    separate: { orgs: 2 }\n  - id: REC', '  - id: REC']],
    says: /^change-strictness: policy .*BREAK-GLASS.*would be enough/,
  },
  {
    what: 'officers that nobody could change',
    edits: [['[policy, roster, ', '[policy, ']],
    says: /^unchangeable: no rule is for roster/,
  },
  {
    what: 'a rule for what is always denied',
    edits: [['op: [genesis]', 'op: [tombstone]']],
    says: /^dead-rule: GENESIS/,
  },
  {
    what: 'a rule that a deny entry wins over',
    edits: [['match: { op: [tombstone] }', 'match: { diff: [alsoKnownAs], key: [online] }']],
    says: /^dead-rule: HANDLE/,
  },
  {
    what: 'a recovery that comes too late',
    edits: [['approveBy: 12h', 'approveBy: 48h']],
    says: /^recovery-window: RECOVERY: .* are 78 h together/,
  },
  {
    what: 'nobody who could be away',
    edits: [['{ any: [dora, frank] }', '{ all: [dora, frank] }']],
    says: /^unsatisfiable: .* when dora or frank is away/,
  },
  {
    what: 'more operators than there are',
    edits: [['operators: 1', 'operators: 3']],
    says: /^ceremony-roles: a ceremony needs 3 with the role operator; there are 2/,
  },
  {
    what: 'operators who would have to approve',
    edits: [
      ['operators: 1', 'operators: 2'],
      ['{ any: [dora, frank] }', '{ any: [dora] }'],
    ],
    says: /^ceremony-roles: approvers may not operate/,
  },
]

describe('what a set must keep', () => {
  test.each(policyRows)('$what', ({ edits, says }) => {
    expect(problems(changed('policy', ...edits))).toContainEqual(expect.stringMatching(says))
  })

  test('a removed officer makes a class depend on those who are left', () => {
    const gone = persons.carol
      .replace('active', 'removed')
      .replace(/credentials:[^]*/, 'credentials: []\n')
    const files = { ...officerFiles, roster: officerFiles.roster.replace(persons.carol, gone) }
    expect(problems(files)).toContainEqual(
      expect.stringMatching(/^unsatisfiable: MOVE.* cannot be met by all officers together/),
    )
  })

  test('credentials that have ended are nobody', () => {
    const found = problems(sound, new Date('2037-01-01T00:00:00Z'))
    expect(found).toContainEqual(expect.stringMatching(/cannot be met by all officers together/))
    expect(problems(sound)).toEqual([])
  })

  test('a recovery must not depend on passkeys', () => {
    const files = changed(
      'roster',
      [/ {6}- \{ kind: "did:key", id: dora-cli[^\n]*\n/, ''],
      [/ {6}- \{ kind: "did:key", id: frank-cli[^\n]*\n/, ''],
    )
    expect(problems(files)).toContainEqual(
      expect.stringMatching(/^unsatisfiable: RECOVERY cannot be met by did:key credentials alone/),
    )
  })

  test('the operators of a program do not count for what it asks', () => {
    const callers = sound.callers.replace(
      'emergency, keys: [pds]',
      'emergency, keys: [pds], operatedBy: [dora]',
    )
    expect(problems({ ...sound, callers })).toContainEqual(
      expect.stringMatching(/^unsatisfiable: .*BREAK-GLASS.* when frank is away/),
    )
  })
})

test('what only weakens comfort does not stop a start; what weakens safety does', () => {
  const checks = (files: PolicyFiles) =>
    refusals(parsePolicySet(files), NOW).map(({ check }) => check)
  expect(checks(sound)).toEqual([])
  expect(checks(changed('policy', ['{ any: [dora, frank] }', '{ all: [dora, frank] }']))).toEqual(
    [],
  )
  expect(checks(changed('policy', ['nullify: 3', 'nullify: 4']))).toEqual(['minimum'])
  expect(checks(edited('policy', /channel: \{ cli: 1 \}/, 'delay: 1s'))).toContain('recovery-cli')
})
