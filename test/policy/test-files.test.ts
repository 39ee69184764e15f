import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { parseTestCases } from '../../src/policy/parse/test-cases.ts'
import type { TestCase } from '../../src/policy/parse/test-cases.ts'
import { changeKinds, keyMatches, ruleClasses } from '../../src/policy/policy-set.ts'
import type { Match, PolicySet, Requirement, Rule } from '../../src/policy/policy-set.ts'
import type { QuorumNode } from '../../src/policy/quorum.ts'
import { runTests } from '../../src/policy/run-tests.ts'
import { readPolicySet, readTestCases } from '../../src/policy-files.ts'

// The cases beside each shipped set: they hold, and there is none of the set's words that could be
// changed without one of them failing.

const folder = (name: string) => fileURLToPath(new URL(`../../policies/${name}`, import.meta.url))
const names = ['.', 'examples/solo', 'examples/three-people', 'examples/organisation']

type Mutant = { readonly what: string; readonly rule: Rule | null }

/** Every rule taken away, each of its conditions turned round or left out, each of its terms loosened. */
function mutantsOf(rule: Rule): Mutant[] {
  const { match, limits, require: asked } = rule
  const withMatch = (what: string, changed: Partial<Match>): Mutant => ({
    what,
    rule: { ...rule, match: { ...match, ...changed } },
  })
  const others = <T>(all: readonly T[], listed: readonly T[]) =>
    all.filter((one) => !listed.includes(one))
  const { caller, to, ...rest } = match
  const kinds = match.diff === 'any' ? [] : match.diff
  return [
    { what: 'dropped', rule: null },
    withMatch('op turned round', { op: others(ruleClasses, match.op) }),
    ...match.op.map((op) => withMatch(`op without ${op}`, { op: others(match.op, [op]) })),
    withMatch('key turned round', { key: others(keyMatches, match.key) }),
    withMatch('any key', { key: keyMatches }),
    withMatch('diff turned round', {
      diff: match.diff === 'any' ? [] : others(changeKinds, kinds),
    }),
    ...(match.diff === 'any' ? [] : [withMatch('any diff', { diff: 'any' as const })]),
    ...kinds.map((kind) => withMatch(`diff without ${kind}`, { diff: others(kinds, [kind]) })),
    ...(caller === undefined
      ? []
      : [
          {
            what: 'any caller',
            rule: { ...rule, match: { ...rest, ...(to === undefined ? {} : { to }) } },
          },
        ]),
    ...(to === undefined
      ? []
      : [
          {
            what: 'to anywhere',
            rule: { ...rule, match: { ...rest, ...(caller === undefined ? {} : { caller }) } },
          },
        ]),
    ...(['global', 'perDid'] as const).flatMap((per) => {
      const limit = limits[per]
      if (limit === null) return []
      const more = { ...limit, count: limit.count + 1 }
      return [
        { what: `no ${per} limit`, rule: { ...rule, limits: { ...limits, [per]: null } } },
        {
          what: `one more under the ${per} limit`,
          rule: { ...rule, limits: { ...limits, [per]: more } },
        },
      ]
    }),
    ...(asked === 'none'
      ? []
      : [{ what: 'nobody asked', rule: { ...rule, require: 'none' as const } }]),
    ...(asked === 'none'
      ? []
      : loosened(asked).map(({ what, requirement }) => ({
          what,
          rule: { ...rule, require: requirement },
        }))),
  ]
}

function loosened(asked: Requirement): { what: string; requirement: Requirement }[] {
  const change = (what: string, changed: Partial<Requirement>) => ({
    what,
    requirement: { ...asked, ...changed },
  })
  return [
    ...lowered(asked.quorum).map((quorum, index) =>
      change(`threshold ${index} lowered`, { quorum }),
    ),
    change('approveBy doubled', { approveBy: asked.approveBy * 2 }),
    change('executeBy doubled', { executeBy: asked.executeBy * 2 }),
    change('alarm turned round', { alarm: !asked.alarm }),
    ...(asked.delay === 0 ? [] : [change('no delay', { delay: 0 })]),
    ...(asked.separate === null ? [] : [change('not separate', { separate: null })]),
    ...(asked.channel === null ? [] : [change('no channel', { channel: null })]),
    ...(asked.channel === null || asked.channel.cli < 2
      ? []
      : [change('one command line less', { channel: { cli: asked.channel.cli - 1 } })]),
  ]
}

/** Every tree in which one threshold is one lower. */
function lowered(node: QuorumNode): QuorumNode[] {
  if (node.kind === 'person') return []
  const below = node.of.flatMap((member, index) =>
    lowered(member).map((changed) => ({
      ...node,
      of: node.of.map((one, at) => (at === index ? changed : one)),
    })),
  )
  return node.k > 1 ? [{ ...node, k: node.k - 1 }, ...below] : below
}

function survivors(set: PolicySet, cases: readonly TestCase[]): string[] {
  const survives = (changed: PolicySet) => runTests(changed, cases).length === 0
  const ofRules = set.rules.flatMap((rule, index) =>
    mutantsOf(rule)
      .filter((mutant) =>
        survives({
          ...set,
          rules: set.rules.toSpliced(index, 1, ...(mutant.rule === null ? [] : [mutant.rule])),
        }),
      )
      .map(({ what }) => `${rule.id}: ${what}`),
  )
  const ofDenies = set.denies
    .filter((_, index) => survives({ ...set, denies: set.denies.toSpliced(index, 1) }))
    .map(({ id }) => `${id}: dropped`)
  return [...ofRules, ...ofDenies]
}

describe.each(names)('policies/%s', (name) => {
  test('answers all of its cases as it must', async () => {
    const cases = await readTestCases(folder(name))
    expect(cases.length).toBeGreaterThan(20)
    expect(runTests(await readPolicySet(folder(name)), cases)).toEqual([])
  })

  test('cannot be changed in a word without a case that fails', async () => {
    const set = await readPolicySet(folder(name))
    expect(survivors(set, await readTestCases(folder(name)))).toEqual([])
  })
})

describe('a file of cases', () => {
  const file = (fields: string) =>
    parseTestCases('tests/x.yaml', `tests: holdfast/policy-tests/v1\ncases:\n  - { ${fields} }\n`)

  test('says what is not so', async () => {
    const set = await readPolicySet(folder('examples/three-people'))
    const messages = (fields: string) => runTests(set, file(fields)).map(({ message }) => message)
    const genesis = 'case: a, op: genesis, key: online'
    expect(messages(`${genesis}, expect: deny`)).toEqual(['must be deny, and is allow by GENESIS'])
    expect(messages(`${genesis}, expect: allow, by: [ACCOUNT]`)).toEqual([
      'must be by ACCOUNT, and is by GENESIS',
    ])
    const policy = 'case: a, op: policy, key: none, agreed: { cli: [alice] }'
    expect(messages(`${policy}, expect: approved`)).toEqual([
      'must be approved, and is require by CHANGE (lacks 1 more of two: bob, carol; 1 more from the command line)',
    ])
    expect(
      messages(`${policy}, expect: require, within: { approveBy: 1h, executeBy: 24h }`),
    ).toEqual(['CHANGE: approveBy is 86400 seconds'])
  })

  test.each([
    ['caller: nobody', 'there is no caller nobody'],
    ['inside: [nowhere]', 'there is no value set nowhere'],
    ['agreed: { cli: [mallory] }', 'there is no person mallory'],
    ['used: { NOTHING: 1 }', 'there is no rule NOTHING'],
  ])('with %s proves nothing, and fails', async (fields, message) => {
    const set = await readPolicySet(folder('examples/three-people'))
    const cases = file(`case: a, op: genesis, key: online, expect: allow, ${fields}`)
    expect(runTests(set, cases)).toEqual([{ file: 'tests/x.yaml', case: 'a', message }])
  })

  test.each([
    ['an unknown word', 'case: a, op: genesis, key: online, expect: allow, els: 1'],
    ['no expectation', 'case: a, op: genesis, key: online'],
    [
      'a time that is none',
      'case: a, op: policy, key: none, expect: require, within: { approveBy: soon, executeBy: 1h }',
    ],
  ])('with %s is refused', (_name, fields) => {
    expect(() => file(fields)).toThrow('tests/x.yaml')
  })
})
