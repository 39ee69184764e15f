import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { operationData } from '../../src/plc/operation.ts'
import { evaluate } from '../../src/policy/evaluate.ts'
import type { Decision, EvaluateInput } from '../../src/policy/evaluate.ts'
import { pinnedKeys } from '../../src/policy/policy-set.ts'
import type { PolicySet } from '../../src/policy/policy-set.ts'
import { denyMatch, input } from './arbitrary.ts'
import { allowAll } from './cases.ts'

const numRuns = 1000

/** What a decision says, whatever the order in which it says it. */
function gist(decision: Decision): unknown {
  switch (decision.kind) {
    case 'allow':
      return { rules: new Set(decision.rules), limits: new Set(decision.limits) }
    case 'require':
      return {
        rules: new Set(decision.rules),
        requirements: new Set(decision.requirements),
        limits: new Set(decision.limits),
      }
    case 'deny':
      return { rules: new Set(decision.findings.map((finding) => finding.rule)) }
  }
}

const withPolicies = (given: EvaluateInput, policies: Partial<PolicySet>): EvaluateInput => ({
  ...given,
  policies: { ...given.policies, ...policies },
})

/** As permissive as a policy can be: what is denied then is denied by what always holds. */
const permissive = (given: EvaluateInput) =>
  withPolicies(given, {
    rules: [{ ...allowAll, match: { ...allowAll.match, key: ['online', 'recovery'] } }],
    denies: [],
  })

describe('evaluate', () => {
  test('is total: limitedRules never lacks a rule whose count is needed', () => {
    const seen = { allow: 0, require: 0, deny: 0 }
    fc.assert(
      fc.property(input, (given) => {
        seen[evaluate(given).decision.kind] += 1
        // An identity of another caller is judged a second time, as if it were unknown.
        evaluate({ ...given, subject: { ...given.subject, previous: null } })
      }),
      { numRuns },
    )
    expect(Math.min(seen.allow, seen.require, seen.deny)).toBeGreaterThan(numRuns / 50)
  })

  test('is deterministic, and depends on nothing but its input', () => {
    fc.assert(
      fc.property(input, (given) => {
        expect(evaluate(structuredClone(given))).toEqual(evaluate(given))
      }),
      { numRuns: 300 },
    )
  })

  test('changes nothing of its input', () => {
    fc.assert(
      fc.property(input, (given) => {
        const before = structuredClone(given)
        evaluate(given)
        expect(given).toEqual(before)
      }),
      { numRuns: 300 },
    )
  })

  test('is not affected by the order of rules, deny entries and keys', () => {
    const shuffled = fc.record({ given: input, extra: denyMatch, at: fc.nat() }).chain((made) => {
      const { given, extra } = made
      const denies = [...given.policies.denies, { id: 'MORE', match: extra }]
      const all = <T>(list: readonly T[]) =>
        fc.shuffledSubarray([...list], { minLength: list.length })
      return fc.record({
        left: fc.constant(withPolicies(given, { denies })),
        right: fc
          .record({
            rules: all(given.policies.rules),
            denies: all(denies),
            keys: fc.constant(given.policies.keys.toReversed()),
          })
          .map((policies) => withPolicies(given, policies)),
      })
    })
    fc.assert(
      fc.property(shuffled, ({ left, right }) => {
        expect(gist(evaluate(right).decision)).toEqual(gist(evaluate(left).decision))
      }),
      { numRuns: 500 },
    )
  })

  test('never allows more because a deny entry was added', () => {
    fc.assert(
      fc.property(input, denyMatch, (given, match) => {
        const denies = [...given.policies.denies, { id: 'MORE', match }]
        const before = evaluate(given).decision
        const after = evaluate(withPolicies(given, { denies })).decision
        expect(after).toEqual(after.kind === 'deny' ? after : before)
      }),
      { numRuns },
    )
  })

  test('never allows what no rule allows', () => {
    fc.assert(
      fc.property(input, (given) => {
        expect(evaluate(withPolicies(given, { rules: [] })).decision.kind).toBe('deny')
      }),
      { numRuns: 500 },
    )
  })

  test('never allows above a limit, and always says how full it is', () => {
    fc.assert(
      fc.property(input, (given) => {
        const { decision } = evaluate(given)
        fc.pre(decision.kind !== 'deny')
        const limited = given.policies.rules
          .filter(({ id }) => decision.rules.includes(id))
          .flatMap(({ id, limits }) => [
            ...(limits.global === null ? [] : [`${id} all`]),
            ...(limits.perDid === null ? [] : [`${id} did`]),
          ])
        expect(decision.limits.map(({ rule, per }) => `${rule} ${per}`)).toEqual(limited)
        expect(decision.limits.every(({ used, count }) => used <= count)).toBe(true)
      }),
      { numRuns: 150 },
    )
  })
})

describe('whatever the policy says, what is allowed and is no departure', () => {
  const allowed = input.map(permissive).filter((given) => {
    const { facts, decision } = evaluate(given)
    return decision.kind === 'allow' && facts.after !== null && facts.operationClass !== 'departure'
  })
  const check = (property: (given: Checked) => void) =>
    fc.assert(
      fc.property(allowed, (given) => {
        const { subject, policies } = given
        property({
          before: operationData(subject.previous?.operation ?? subject.operation)!.rotationKeys,
          after: operationData(subject.operation)!.rotationKeys,
          online: pinnedKeys(policies, 'online'),
          recovery: pinnedKeys(policies, 'recovery'),
          given,
        })
      }),
      { numRuns: 300 },
    )

  test('keeps an online key of ours', () => {
    check(({ after, online }) => {
      expect(after.some((key) => online.includes(key))).toBe(true)
    })
  })

  test('keeps a recovery key where there was one', () => {
    check(({ before, after, recovery }) => {
      const has = (list: readonly string[]) => list.some((key) => recovery.includes(key))
      expect([has(before), has(after)]).not.toEqual([true, false])
    })
  })

  test('has every recovery key above every online key', () => {
    check(({ after, online, recovery }) => {
      const firstOnline = after.findIndex((key) => online.includes(key))
      const lastRecovery = after.findLastIndex((key) => recovery.includes(key))
      expect(lastRecovery).toBeLessThan(firstOnline)
    })
  })

  test('is for an identity of the caller, and signed by a key that has authority', () => {
    check(({ given: { subject }, before }) => {
      expect(subject.previous?.owner ?? subject.caller).toBe(subject.caller)
      expect(before).toContain(subject.key.did)
    })
  })

  test('has between one and five rotation keys, or no more than before, none twice', () => {
    check(({ before, after }) => {
      expect(after.length).toBeGreaterThan(0)
      expect(after.length).toBeLessThanOrEqual(Math.max(5, before.length))
      expect(new Set(after).size).toBe(after.length)
    })
  })
})

type Checked = {
  before: readonly string[]
  after: readonly string[]
  online: readonly string[]
  recovery: readonly string[]
  given: EvaluateInput
}
