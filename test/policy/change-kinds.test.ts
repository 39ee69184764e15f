import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { diffOperation } from '../../src/plc/diff.ts'
import { operationData } from '../../src/plc/operation.ts'
import type { OperationData } from '../../src/plc/operation.ts'
import { deriveFacts } from '../../src/policy/facts.ts'
import type { Subject } from '../../src/policy/facts.ts'
import { changeKinds } from '../../src/policy/policy-set.ts'
import type { ChangeKind } from '../../src/policy/policy-set.ts'
import { data } from '../plc/arbitrary.ts'
import { account, circumstances, dids, genesis, policySet, tombstone, update } from './cases.ts'

const { online, online2, recovery, recovery2, users, users2, atproto, atproto2 } = dids
const PDS = account.services.atproto_pds!
const service = { type: 'T', endpoint: 'https://a.example' }

function kindsOf(subject: Subject): readonly ChangeKind[] {
  return deriveFacts(subject, circumstances(), policySet()).changeKinds
}

/** A map as the parser makes them: any id is an ordinary entry. */
function parsedMap<T>(entries: Readonly<Record<string, T>>): Record<string, T> {
  return Object.assign(Object.create(null) as Record<string, T>, entries)
}

type Row = {
  readonly what: string
  readonly before?: Partial<OperationData>
  readonly after: Partial<OperationData>
  readonly kinds: readonly ChangeKind[]
}

const keysOf = (...rotationKeys: string[]): Partial<OperationData> => ({ rotationKeys })
const methods = (verificationMethods: Record<string, string>): Partial<OperationData> => ({
  verificationMethods,
})

const rows: readonly Row[] = [
  { what: 'nothing', after: {}, kinds: ['none'] },
  { what: 'a new handle', after: { alsoKnownAs: ['at://b.example'] }, kinds: ['alsoKnownAs'] },
  { what: 'no handle', after: { alsoKnownAs: [] }, kinds: ['alsoKnownAs'] },
  {
    what: 'handles in another order',
    before: { alsoKnownAs: ['at://a.example', 'at://b.example'] },
    after: { alsoKnownAs: ['at://b.example', 'at://a.example'] },
    kinds: ['alsoKnownAs'],
  },
  {
    what: 'another atproto key',
    after: methods({ atproto: atproto2 }),
    kinds: ['verificationMethods.atproto'],
  },
  { what: 'no atproto key', after: methods({}), kinds: ['verificationMethods.atproto'] },
  {
    what: 'one more verification method',
    after: methods({ atproto, label: atproto2 }),
    kinds: ['verificationMethods.other'],
  },
  {
    what: 'one verification method less',
    before: methods({ atproto, label: atproto2 }),
    after: methods({ atproto }),
    kinds: ['verificationMethods.other'],
  },
  {
    what: 'another endpoint',
    after: { services: { atproto_pds: { ...PDS, endpoint: 'https://b.example' } } },
    kinds: ['services.atproto_pds'],
  },
  {
    what: 'another type of PDS',
    after: { services: { atproto_pds: { ...PDS, type: 'Other' } } },
    kinds: ['services.atproto_pds'],
  },
  { what: 'no PDS', after: { services: {} }, kinds: ['services.atproto_pds'] },
  {
    what: 'one more service',
    after: { services: { ...account.services, labeler: service } },
    kinds: ['services.other'],
  },
  {
    what: 'another endpoint of another service',
    before: { services: { ...account.services, labeler: service } },
    after: { services: { ...account.services, labeler: { ...service, endpoint: 'x' } } },
    kinds: ['services.other'],
  },
  { what: "a user's key", after: keysOf(users, recovery, online), kinds: ['rotationKeys.add'] },
  {
    what: 'the recovery key of an identity that had none',
    before: keysOf(online),
    after: keysOf(recovery, online),
    kinds: ['rotationKeys.add'],
  },
  { what: 'our key gone', after: keysOf(recovery), kinds: ['rotationKeys.remove.online'] },
  {
    what: 'our key swapped for another of ours',
    after: keysOf(recovery, online2),
    kinds: ['rotationKeys.add', 'rotationKeys.remove.online'],
  },
  {
    what: 'the recovery key gone',
    after: keysOf(online),
    kinds: ['rotationKeys.remove.recovery'],
  },
  {
    what: 'the recovery key swapped for a key of the user',
    after: keysOf(users, online),
    kinds: ['rotationKeys.add', 'rotationKeys.remove.recovery'],
  },
  {
    what: 'the recovery key replaced by another one at its place',
    after: keysOf(recovery2, online),
    kinds: ['rotationKeys.replace.recovery'],
  },
  {
    what: 'the recovery key replaced by another one below its place',
    after: keysOf(users, recovery2, online),
    kinds: ['rotationKeys.add', 'rotationKeys.remove.recovery'],
  },
  {
    what: 'the recovery key replaced by another one that was there already',
    before: keysOf(recovery, recovery2, online),
    after: keysOf(recovery2, online),
    kinds: ['rotationKeys.remove.recovery'],
  },
  {
    what: 'the recovery key replaced, and a key of the user added',
    after: keysOf(recovery2, online, users),
    kinds: ['rotationKeys.add', 'rotationKeys.replace.recovery'],
  },
  {
    what: "a user's key gone",
    before: keysOf(recovery, users, online),
    after: keysOf(recovery, online),
    kinds: ['rotationKeys.remove.foreign'],
  },
  {
    what: "a user's key swapped for another",
    before: keysOf(recovery, users, online),
    after: keysOf(recovery, users2, online),
    kinds: ['rotationKeys.add', 'rotationKeys.remove.foreign'],
  },
  {
    what: 'the recovery key below ours',
    after: keysOf(online, recovery),
    kinds: ['rotationKeys.reorder'],
  },
  {
    what: 'a key that was listed twice listed once',
    before: keysOf(recovery, online, online),
    after: keysOf(recovery, online),
    kinds: ['rotationKeys.reorder'],
  },
  {
    what: 'everything',
    before: keysOf(recovery, users, online, users2),
    after: {
      ...keysOf(online, recovery, atproto2),
      ...methods({ atproto: atproto2, label: users }),
      alsoKnownAs: [],
      services: { labeler: service },
    },
    kinds: [
      'alsoKnownAs',
      'verificationMethods.atproto',
      'verificationMethods.other',
      'services.atproto_pds',
      'services.other',
      'rotationKeys.add',
      'rotationKeys.remove.foreign',
      'rotationKeys.reorder',
    ],
  },
]

describe('changes in the words of policies', () => {
  test.each(rows)('$what: $kinds', ({ before, after, kinds }) => {
    expect(kindsOf(update(after, before))).toEqual(kinds)
  })

  test('every word of the vocabulary stands in a row above', () => {
    const seen = new Set(rows.flatMap(({ kinds }) => kinds))
    expect([...seen].sort()).toEqual([...changeKinds].sort())
  })

  test.each([
    { what: 'a genesis', subject: genesis() },
    { what: 'a tombstone', subject: tombstone(1) },
    { what: 'what follows an unknown operation', subject: { ...update({}), previous: null } },
  ])('$what has an empty set, which is not the set of an operation that changes nothing', (row) => {
    expect(kindsOf(row.subject)).toEqual([])
  })
})

describe('ids are the words of strangers', () => {
  const ids = ['constructor', '__proto__', 'toString', 'hasOwnProperty', '', 'atproto ', 'ATPROTO']

  test.each(ids)('verification method %j is an ordinary other one', (id) => {
    const more = parsedMap({ ...account.verificationMethods })
    more[id] = users
    const with_ = { verificationMethods: more }
    const without = { verificationMethods: parsedMap(account.verificationMethods) }
    expect(kindsOf(update(with_, without))).toEqual(['verificationMethods.other'])
    expect(kindsOf(update(without, with_))).toEqual(['verificationMethods.other'])
    expect(kindsOf(update(with_, with_))).toEqual(['none'])
  })

  test.each(ids)('service %j is an ordinary other one', (id) => {
    const more = parsedMap({ ...account.services })
    more[id] = service
    const with_ = { services: more }
    const without = { services: parsedMap(account.services) }
    expect(kindsOf(update(with_, without))).toEqual(['services.other'])
    expect(kindsOf(update(without, with_))).toEqual(['services.other'])
    expect(kindsOf(update(with_, with_))).toEqual(['none'])
  })
})

test('nothing changes without a word for it: `none` exactly when the diff is empty', () => {
  const near = (before: OperationData) =>
    fc.oneof(fc.constant(before), data, fc.record({ ...constants(before), rotationKeys: keyList }))
  const pairs = fc
    .record({ base: data, rotationKeys: keyList })
    .map(({ base, rotationKeys }) => ({ ...base, rotationKeys }))
    .chain((before) => fc.record({ before: fc.constant(before), after: near(before) }))
  fc.assert(
    fc.property(pairs, ({ before, after }) => {
      const subject = update(after, before)
      const changes = diffOperation(operationData(subject.previous!.operation), subject.operation)
      const kinds = kindsOf(subject)
      const unchanged = changes.length === 0
      expect(kinds.includes('none')).toBe(unchanged)
      expect(kinds.length === 0 || (unchanged && kinds.length > 1)).toBe(false)
    }),
    { numRuns: 300 },
  )
})

const keyList = fc.array(fc.constantFrom(...Object.values(dids)), { maxLength: 6 })

function constants(before: OperationData) {
  return {
    verificationMethods: fc.constant(before.verificationMethods),
    alsoKnownAs: fc.constant(before.alsoKnownAs),
    services: fc.constant(before.services),
  }
}
