import { describe, expect, test } from 'vitest'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { judgeActs } from '../../src/policy/acts.ts'
import { analyse } from '../../src/policy/analyse.ts'
import { countRequirement, lackText } from '../../src/policy/count.ts'
import { judgeCell } from '../../src/policy/evaluate.ts'
import type { Decision } from '../../src/policy/evaluate.ts'
import type { ChangeKind, PolicySet } from '../../src/policy/policy-set.ts'
import { loadPolicySet } from '../../src/policy-files.ts'
import { NOW } from './cases.ts'

const load = async (name: string) =>
  await loadPolicySet(fileURLToPath(new URL(`../../policies/examples/${name}`, import.meta.url)))
const sets = {
  solo: await load('solo'),
  'three-people': await load('three-people'),
  organisation: await load('organisation'),
}
type Name = keyof typeof sets

function update(set: PolicySet, caller: string, diff: readonly ChangeKind[], inside = false) {
  const counts = Object.fromEntries(set.rules.map(({ id }) => [id, 0]))
  return judgeCell(
    set,
    { op: 'update', key: 'online', caller, diff, inside: () => inside },
    { broken: [], circumstances: { ruleCounts: counts, didRuleCounts: counts } },
  )
}

/** `allow`, `deny RULE`, `enough`, or what is missing when these have agreed by command line. */
function outcome(set: PolicySet, decision: Decision, agreed: readonly string[] = []): string {
  if (decision.kind === 'deny') return `deny ${decision.findings[0].rule}`
  if (decision.kind === 'allow') return 'allow'
  const input = {
    roster: set.roster!,
    agreements: agreed.map((person) => ({ person, cli: true })),
    excluded: new Set<string>(),
  }
  const lacks = decision.requirements.flatMap((asked) => countRequirement(asked, input).lacks)
  return lacks.map(lackText).join('; ') || 'enough'
}

describe.each(Object.entries(sets))('%s', (_name, set) => {
  test('keeps everything a set must keep', () => {
    expect(analyse(set, NOW).problems).toEqual([])
  })

  test('lets users do with their accounts what the shipped policy does', () => {
    expect(outcome(set, update(set, 'pds', ['alsoKnownAs']))).toBe('allow')
    expect(outcome(set, update(set, 'pds', ['verificationMethods.atproto']))).toBe('allow')
    expect(outcome(set, update(set, 'pds', ['services.atproto_pds']))).toBe('deny POLICY-UNMATCHED')
  })
})

const moves = ['services.atproto_pds', 'rotationKeys.add'] as const

test.each<[Name, readonly string[], string]>([
  ['three-people', [], '2 more of two: alice, bob, carol; 2 more from the command line'],
  ['three-people', ['bob'], '1 more of two: alice, carol; 1 more from the command line'],
  ['three-people', ['alice', 'carol'], 'enough'],
  ['organisation', ['alice', 'carol', 'erin'], 'enough'],
  ['organisation', ['alice', 'bob', 'erin'], '1 more organisation'],
  [
    'organisation',
    ['alice', 'bob', 'carol', 'dan'],
    '1 more of board: management; 1 more of management: erin, frank',
  ],
  [
    'organisation',
    ['hugo', 'ines', 'kim', 'jo'],
    '2 more of board: security, management; 2 more of security: alice, bob, carol, dan; 1 more of management: erin, frank; 2 more organisations; 2 more from the command line',
  ],
])('break-glass in %s, by %s: %s', (name, agreed, expected) => {
  const set = sets[name]
  const decision = update(set, 'emergency', moves)
  expect(decision).toMatchObject({
    requirements: [{ rule: 'BREAK-GLASS', approveBy: 1800, executeBy: 1800, alarm: true }],
  })
  expect(outcome(set, decision, agreed)).toBe(expected)
})

test.each<[Name, readonly string[], string]>([
  ['solo', [], 'allow'],
  ['three-people', ['alice', 'bob'], 'enough'],
  ['three-people', ['alice'], '1 more of two: bob, carol'],
  ['organisation', ['bob', 'dan', 'frank'], 'enough'],
  [
    'organisation',
    ['dan', 'frank'],
    '1 more of board: security; 1 more of security: alice, bob, carol',
  ],
])('the recovery key in a ceremony of %s, by %s: %s', (name, agreed, expected) => {
  const set = sets[name]
  const ceremony = { class: 'ceremony', key: 'recovery' } as const
  const fork = {
    class: 'nullify',
    key: 'recovery',
    changes: ['rotationKeys.remove.foreign'],
  } as const
  expect(outcome(set, judgeActs(set, [ceremony, fork]), agreed)).toBe(expected)
  expect(outcome(set, judgeActs(set, [ceremony, { class: 'tombstone', key: 'recovery' }]))).toBe(
    'deny NO-TOMBSTONE',
  )
})

test('in organisation an account comes home to its own PDS, and nowhere else', () => {
  const set = sets.organisation
  const home = (inside: boolean, caller = 'operations') =>
    update(set, caller, ['services.atproto_pds'], inside)
  expect(outcome(set, home(true), ['alice', 'bob'])).toBe('enough')
  expect(outcome(set, home(true), ['alice', 'erin'])).toBe('1 more of security: bob, carol, dan')
  expect(outcome(set, home(false))).toBe('deny POLICY-UNMATCHED')
  expect(outcome(set, home(true, 'pds'))).toBe('deny POLICY-UNMATCHED')
})

test('who may approve and operate is said by the set', () => {
  expect(Object.values(sets).map(({ ceremony }) => ceremony?.approversMayOperate)).toEqual([
    true,
    true,
    false,
  ])
})

test.each([
  {
    what: 'a witness, where none is named',
    from: 'alarm: true',
    to: 'witness: required',
    says: /witness: BREAK-GLASS asks for one, and policy.yaml names no witnesses/,
  },
  {
    what: 'fewer persons than its own table says',
    from: 'nullify: 3',
    to: 'nullify: 4',
    says: /minimum: nullify must need 4/,
  },
])('no service starts with $what', async ({ from, to, says }) => {
  const dir = await mkdtemp(join(tmpdir(), 'holdfast-example-'))
  try {
    await cp(fileURLToPath(new URL('../../policies/examples/organisation', import.meta.url)), dir, {
      recursive: true,
    })
    const file = join(dir, 'policy.yaml')
    const text = await readFile(file, 'utf8')
    expect(text).toContain(from)
    await writeFile(file, text.replace(from, to))
    await expect(loadPolicySet(dir)).rejects.toThrow(says)
  } finally {
    await rm(dir, { recursive: true })
  }
})
