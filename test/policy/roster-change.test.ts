import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parsePolicySet } from '../../src/policy/parse.ts'
import { withDigest } from '../../src/policy/parse/roster.ts'
import { acceptancesNeeded, chainProblems, stepProblems } from '../../src/policy/roster-change.ts'
import type { Person, Roster } from '../../src/policy/roster.ts'
import { officerFiles } from './officers.ts'

const policies = parsePolicySet(officerFiles)
const first = policies.roster!
const alice = first.persons.find(({ id }) => id === 'alice')!

/** The epoch after, with these persons in the place of those of the same id. */
function after(old: Roster, ...changed: readonly Person[]): Roster {
  const kept = old.persons.filter(({ id }) => !changed.some((person) => person.id === id))
  const persons = [...kept, ...changed].toSorted((a, b) => (a.id < b.id ? -1 : 1))
  const { digest, ...content } = old
  return withDigest({ ...content, epoch: old.epoch + 1, previous: digest, persons })
}

const removed = (person: Person): Person => ({ ...person, status: 'removed', credentials: [] })
const newcomer: Person = { ...alice, id: 'zoe' }
/** Zoe's credentials are those of nobody else: alice leaves them here only by name. */
const zoe: Person = {
  ...newcomer,
  credentials: first.persons
    .find(({ id }) => id === 'erin')!
    .credentials.map((credential) => ({ ...credential, id: `zoe-${credential.id}` })),
}
const withZoe = after(first, removed(first.persons.find(({ id }) => id === 'erin')!), zoe)

const accepted = zoe.credentials.map(({ id }) => ({ person: 'zoe', credential: id }))

describe('a change of officers', () => {
  test('needs each new credential accepted by its owner', () => {
    expect(stepProblems(first, withZoe)).toEqual([])
    expect(acceptancesNeeded(first, withZoe)).toEqual(accepted)
    expect(acceptancesNeeded(null, first)).toHaveLength(10)
  })

  test('a removal needs no acceptance, and takes nobody out of the list', () => {
    const next = after(first, removed(alice))
    expect(acceptancesNeeded(first, next)).toEqual([])
    expect(stepProblems(first, next)).toEqual([])
    const without = withDigest({
      ...next,
      persons: next.persons.filter(({ id }) => id !== 'alice'),
    })
    expect(stepProblems(first, without)).toEqual(['person alice is gone; write status: removed'])
    expect(stepProblems(next, after(next, alice))).toEqual([
      'person alice was removed for good; give a new id',
    ])
  })

  test.each([
    { what: 'a gap', changes: { epoch: 3 }, says: 'epoch 3 cannot follow 1' },
    { what: 'another past', changes: { previous: new Uint8Array(32) }, says: 'previous is not' },
    { what: 'no past', changes: { previous: null }, says: 'previous is not' },
    {
      what: 'another env',
      changes: { env: 'prod' as const },
      says: 'env changes from dev to prod',
    },
  ])('$what does not follow', ({ changes, says }) => {
    expect(stepProblems(first, withDigest({ ...withZoe, ...changes }))).toEqual([
      expect.stringContaining(says),
    ])
  })
})

describe('a chain', () => {
  test('begins at epoch 1', () => {
    expect(chainProblems([])).toEqual(['a chain has at least one epoch'])
    expect(chainProblems([withZoe])).toEqual(['the chain does not begin at epoch 1'])
    expect(chainProblems([first])).toEqual([])
  })

  test('gives no key of one person to another, however many epochs lie between', () => {
    expect(chainProblems([first, withZoe])).toContainEqual(
      expect.stringMatching(/^epoch 2: credential zoe-.* of zoe was one of erin$/),
    )
  })

  test('any order of removals keeps every person and never lowers a threshold; any one epoch changed breaks it', () => {
    const ids = first.persons.map(({ id }) => id)
    fc.assert(
      fc.property(fc.shuffledSubarray(ids, { minLength: 1 }), fc.nat(), (order, at) => {
        const chain = order.reduce<Roster[]>(
          (made, id) => [
            ...made,
            after(made.at(-1)!, removed(first.persons.find((person) => person.id === id)!)),
          ],
          [first],
        )
        expect(chainProblems(chain)).toEqual([])
        expect(chain.at(-1)!.persons.map(({ id }) => id)).toEqual(ids)
        const index = at % (chain.length - 1)
        const other = chain[index]!
        const persons = other.persons.map((person) => ({ ...person, org: 'other' }))
        const forged = chain.with(index, withDigest({ ...other, persons }))
        expect(chainProblems(forged)).not.toEqual([])
      }),
      { numRuns: 200 },
    )
  })
})
