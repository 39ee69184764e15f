import { describe, expect, test } from 'vitest'
import type { AuditEntry } from '../../../src/audit/entry.ts'
import { createInForce } from '../../../src/audit/verify/in-force.ts'
import { policySetBytes, policySetDigest } from '../../../src/policy/canonical.ts'
import { rosterBytes, withDigest } from '../../../src/policy/parse/roster.ts'
import type { PolicySet } from '../../../src/policy/policy-set.ts'
import type { Roster } from '../../../src/policy/roster.ts'
import { allowAll, policySet, rule } from '../../policy/cases.ts'

// What the log says is in force, and who may put it there.

const setOf = (fields: Partial<PolicySet> = {}): PolicySet => {
  const set = policySet({ env: 'prod', ...fields })
  return { ...set, digest: policySetDigest(set) }
}
const one = setOf()
const two = setOf({ rules: [allowAll, rule('MORE')] })
const rp = { id: 'example.com', origins: ['https://example.com'] }
const first = withDigest({ env: 'prod', epoch: 1, previous: null, rp, persons: [] })
const second = withDigest({ ...first, epoch: 2, previous: first.digest })

type Entry = AuditEntry & { kind: 'policy.changed' | 'roster.changed' | 'trust.changed' }

const policies = (set: PolicySet): Entry => ({
  kind: 'policy.changed',
  digest: set.digest,
  set: policySetBytes(set),
})
const officers = (roster: Roster): Entry => ({
  kind: 'roster.changed',
  digest: roster.digest,
  roster: rosterBytes(roster),
})
const put = (
  sequence: number,
  set: PolicySet,
  roster: Roster | null = null,
  by: 'operator' | 'officers' = 'operator',
): Entry => ({ kind: 'trust.changed', sequence, policies: set.digest, roster, by, agreed: null })

function told(...entries: Entry[]): { said: string[]; lacks: string[] } {
  const inForce = createInForce()
  const said: string[] = []
  const lacks: string[] = []
  const say = (text: string) => said.push(text)
  const lack = (text: string) => lacks.push(text)
  for (const entry of entries) {
    if (entry.kind === 'policy.changed') inForce.takePolicies(entry, say, lack)
    else if (entry.kind === 'trust.changed') inForce.takeTrust(entry, say)
    else inForce.takeRoster(entry, say, lack)
  }
  return { said, lacks }
}

describe('in production', () => {
  test('what was put in force may be in force, and once more after a crash', () => {
    const log = [put(1, one), put(1, one, first), policies(one), officers(first)]
    expect(told(...log)).toEqual({ said: [], lacks: [] })
  })

  test('other policies than were put there are found', () => {
    expect(told(put(1, one), policies(two)).said).toEqual([
      'these policies are not what was put in force',
    ])
  })

  test('other officers than were put there are found', () => {
    expect(told(put(1, one, first), policies(one), officers(second)).said).toEqual([
      'these officers are not who was put in force',
    ])
  })

  test('no change is left out', () => {
    expect(told(put(1, one), policies(one), put(3, two)).said).toEqual([
      'change 3 of what is in force comes after change 1',
    ])
  })

  test('an operator puts nothing in the place of officers; that these agreed cannot be judged', () => {
    const begun = [put(1, one, first), policies(one), officers(first)]
    expect(told(...begun, put(2, one, second)).said).toEqual([
      'where there are officers, nothing is put in force by the word of an operator',
    ])
    expect(told(...begun, put(2, one, second, 'officers'), officers(second))).toEqual({
      said: [],
      lacks: ['that the officers before agreed to these cannot be judged here'],
    })
  })

  test('nor can it be judged that officers agreed to other policies', () => {
    const begun = [put(1, one, first), policies(one), officers(first)]
    expect(told(...begun, put(2, two, first, 'officers'), policies(two))).toEqual({
      said: [],
      lacks: ['that the officers agreed to these policies cannot be judged here'],
    })
  })

  test('an epoch that does not follow is found', () => {
    const third = withDigest({ ...first, epoch: 3, previous: first.digest })
    const log = [put(1, one, first), officers(first), put(2, one, third, 'officers')]
    expect(told(...log, officers(third)).said).toEqual(['epoch 3 cannot follow 1'])
  })
})

test('a development instance takes its own files', () => {
  const dev = setOf({ env: 'dev' })
  const other = setOf({ env: 'dev', rules: [allowAll, rule('MORE')] })
  expect(told(policies(dev), put(4, dev), policies(other))).toEqual({ said: [], lacks: [] })
})
