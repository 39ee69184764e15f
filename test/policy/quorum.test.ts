import { describe, expect, test } from 'vitest'
import { countQuorum, personsIn, quorumText } from '../../src/policy/quorum.ts'
import type { QuorumNode } from '../../src/policy/quorum.ts'

const person = (id: string): QuorumNode => ({ kind: 'person', id })
const security: QuorumNode = {
  kind: 'group',
  id: 'security',
  k: 2,
  of: ['a', 'b', 'c'].map(person),
}
const management: QuorumNode = { kind: 'group', id: 'management', k: 1, of: ['d', 'e'].map(person) }
const both: QuorumNode = { kind: 'group', id: 'both', k: 2, of: [security, management] }

const count = (node: QuorumNode, ...agreed: string[]) => countQuorum(node, new Set(agreed))

describe('countQuorum', () => {
  test.each([
    { agreed: ['a', 'b', 'd'], met: true },
    { agreed: ['a', 'b', 'c', 'd', 'e'], met: true },
    { agreed: ['a', 'b'], met: false },
    { agreed: ['a', 'd', 'e'], met: false },
    { agreed: ['x', 'y', 'z'], met: false },
    { agreed: [], met: false },
  ])('both, by $agreed: $met', ({ agreed, met }) => {
    expect(count(both, ...agreed).met).toBe(met)
  })

  test('says what is missing, of the whole and of each part', () => {
    expect(count(both, 'a').missing).toEqual([
      { group: 'both', need: 2, from: ['security', 'management'] },
      { group: 'security', need: 1, from: ['b', 'c'] },
      { group: 'management', need: 1, from: ['d', 'e'] },
    ])
    expect(count(both, 'a', 'e').missing).toEqual([
      { group: 'both', need: 1, from: ['security'] },
      { group: 'security', need: 1, from: ['b', 'c'] },
    ])
    expect(count(both, 'a', 'b', 'e').missing).toEqual([])
    expect(count(person('a')).missing).toEqual([{ group: 'a', need: 1, from: ['a'] }])
  })
})

test('personsIn and quorumText', () => {
  expect(personsIn(both)).toEqual(['a', 'b', 'c', 'd', 'e'])
  expect(quorumText(both)).toBe('2 of both (2 of security (a, b, c), 1 of management (d, e))')
})
