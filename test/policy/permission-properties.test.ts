import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { judgeActs } from '../../src/policy/acts.ts'
import { countRequirement } from '../../src/policy/count.ts'
import type { Agreement } from '../../src/policy/count.ts'
import { cellOf, evaluate } from '../../src/policy/evaluate.ts'
import type { Decision, EvaluateInput } from '../../src/policy/evaluate.ts'
import type { PolicySet, Requirement } from '../../src/policy/policy-set.ts'
import type { QuorumNode } from '../../src/policy/quorum.ts'
import { traceOf } from '../../src/policy/trace.ts'
import { agreements, denyMatch, excluded, input, requirement, roster } from './arbitrary.ts'

/** What a decision comes to with these agreements: the join that a service makes of the two. */
function outcome(
  given: EvaluateInput,
  agreed: readonly Agreement[],
  without: ReadonlySet<string> = new Set(),
): 'denied' | 'waits' | 'allowed' {
  const { decision } = evaluate(given)
  if (decision.kind === 'deny') return 'denied'
  if (decision.kind === 'allow') return 'allowed'
  const input = { roster, agreements: agreed, excluded: without }
  return decision.requirements.every((asked) => countRequirement(asked, input).met)
    ? 'allowed'
    : 'waits'
}

const withRules = (
  given: EvaluateInput,
  change: (requirement: Requirement) => Requirement,
): EvaluateInput => {
  const rules = given.policies.rules.map((rule) =>
    rule.require === 'none' ? rule : { ...rule, require: change(rule.require) },
  )
  return { ...given, policies: { ...given.policies, rules } }
}

/** The same tree with the threshold of its root raised by one, as far as there are members. */
function raised(node: QuorumNode): QuorumNode {
  if (node.kind === 'person') return node
  return { ...node, k: Math.min(node.k + 1, node.of.length) }
}

const numRuns = 1000

describe('decision and agreements together', () => {
  test('an agreement more never takes permission away', () => {
    const seen = { denied: 0, waits: 0, allowed: 0 }
    fc.assert(
      fc.property(input, agreements, agreements, excluded, (given, agreed, more, without) => {
        const before = outcome(given, agreed, without)
        const after = outcome(given, [...agreed, ...more], without)
        seen[after] += 1
        expect([before, after]).not.toEqual(['allowed', 'waits'])
        expect(after === 'denied').toBe(before === 'denied')
      }),
      { numRuns },
    )
    expect(Math.min(...Object.values(seen))).toBeGreaterThan(0)
  })

  test('the order of agreements, and a second one of the same person, change nothing', () => {
    fc.assert(
      fc.property(requirement, agreements, excluded, (asked, agreed, without) => {
        const count = (list: readonly Agreement[]) =>
          countRequirement({ rule: 'R', ...asked }, { roster, agreements: list, excluded: without })
        expect(count(agreed.toReversed())).toEqual(count(agreed))
        expect(count([...agreed, ...agreed])).toEqual(count(agreed))
      }),
      { numRuns },
    )
  })

  test('raising k, asking for more organisations or command lines, or excluding somebody never allows more', () => {
    const stricter = fc.constantFrom<(asked: Requirement) => Requirement>(
      (asked) => ({ ...asked, quorum: raised(asked.quorum) }),
      (asked) => ({ ...asked, separate: { orgs: (asked.separate?.orgs ?? 0) + 1 } }),
      (asked) => ({ ...asked, channel: { cli: (asked.channel?.cli ?? 0) + 1 } }),
    )
    fc.assert(
      fc.property(input, stricter, agreements, excluded, (given, change, agreed, without) => {
        const was = outcome(given, agreed)
        if (was === 'allowed') return
        expect(outcome(withRules(given, change), agreed)).not.toBe('allowed')
        expect(outcome(given, agreed, without)).not.toBe('allowed')
      }),
      { numRuns },
    )
  })

  test('a deny entry more never allows more', () => {
    fc.assert(
      fc.property(input, denyMatch, agreements, (given, match, agreed) => {
        const denies = [...given.policies.denies, { id: 'MORE', match }]
        const policies: PolicySet = { ...given.policies, denies }
        if (outcome(given, agreed) === 'allowed') return
        expect(outcome({ ...given, policies }, agreed)).not.toBe('allowed')
      }),
      { numRuns },
    )
  })

  test('nobody outside a tree, and nobody who may not approve, is ever counted', () => {
    fc.assert(
      fc.property(requirement, agreements, (asked, agreed) => {
        const whole = { rule: 'R', ...asked }
        const counted = (persons: readonly Agreement[], given = roster) =>
          countRequirement(whole, { roster: given, agreements: persons, excluded: new Set() })
        const strangers = agreed.map((each) => ({ ...each, person: 'zoe' }))
        expect(counted(strangers)).toEqual(counted([]))
        const removed = roster.persons.map((person) => ({ ...person, status: 'removed' as const }))
        expect(counted(agreed, { ...roster, persons: removed })).toEqual(counted([]))
        const operators = roster.persons.map((person) => ({
          ...person,
          roles: ['operator' as const],
        }))
        expect(counted(agreed, { ...roster, persons: operators })).toEqual(counted([]))
      }),
      { numRuns: 300 },
    )
  })
})

const rulesOf = (decision: Decision): readonly string[] =>
  decision.kind === 'deny' ? [] : decision.rules

test('a trace names exactly the rules that decided', () => {
  fc.assert(
    fc.property(input, (given) => {
      const { facts, decision } = evaluate(given)
      const trace = traceOf(given.policies, cellOf(facts))
      const applied = (kind: string) =>
        trace.flatMap((line) => (line.kind === kind && line.applies ? [line.rule] : []))
      expect(trace.every(({ why }) => why !== '')).toBe(true)
      const denied = decision.kind === 'deny' ? decision.findings.map(({ rule }) => rule) : []
      // Of an unknown `prev` nothing else is said.
      fc.pre(!denied.includes('PREV-KNOWN'))
      expect(denied).toEqual(expect.arrayContaining(applied('deny')))
      expect(applied('rule')).toEqual(expect.arrayContaining([...rulesOf(decision)]))
      expect(decision.kind === 'deny' || applied('rule').length === rulesOf(decision).length).toBe(
        true,
      )
    }),
    { numRuns },
  )
})

describe('acts', () => {
  const asked = { rule: 'BIG', ...fc.sample(requirement, { numRuns: 1, seed: 1 })[0]! }
  const act = { op: ['policy', 'ceremony'], key: ['none', 'recovery'], diff: 'any' } as const
  const none = { global: null, perDid: null }
  const big = { id: 'BIG', match: act, require: asked, limits: none }
  const small = {
    id: 'SMALL',
    match: { op: ['update'], key: ['recovery'], diff: ['rotationKeys.add'] },
    require: { ...asked, rule: 'SMALL' },
    limits: none,
  } as const
  const set = { rules: [big, small], denies: [] }
  const ceremony = { class: 'ceremony', key: 'recovery' } as const
  const update = { class: 'update', key: 'recovery', changes: ['rotationKeys.add'] } as const

  test('need what their rule asks for', () => {
    expect(judgeActs(set, [{ class: 'policy', key: 'none' }])).toEqual({
      kind: 'require',
      rules: ['BIG'],
      requirements: [asked],
      limits: [],
    })
  })

  test('several together need everything that any of them needs, once', () => {
    expect(judgeActs(set, [ceremony, update, update])).toMatchObject({
      kind: 'require',
      rules: ['BIG', 'SMALL'],
      requirements: [{ rule: 'BIG' }, { rule: 'SMALL' }],
    })
  })

  test('are denied when any one of them is', () => {
    const more = { ...update, changes: ['rotationKeys.add', 'alsoKnownAs'] } as const
    expect(judgeActs(set, [ceremony, more])).toMatchObject({
      kind: 'deny',
      findings: [{ rule: 'POLICY-UNMATCHED' }],
    })
    const denies = [{ id: 'NO', match: { op: ['update'] } }] as const
    expect(judgeActs({ ...set, denies }, [ceremony, update])).toMatchObject({
      findings: [{ rule: 'NO' }],
    })
  })

  test('are denied by a rule with a limit, since nothing is counted', () => {
    const limited = { ...small, limits: { global: { count: 1, seconds: 1 }, perDid: null } }
    expect(judgeActs({ ...set, rules: [big, limited] }, [update])).toMatchObject({
      kind: 'deny',
      findings: [{ rule: 'SMALL' }],
    })
  })
})
