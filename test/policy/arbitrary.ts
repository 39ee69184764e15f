import * as fc from 'fast-check'
import { operationData } from '../../src/plc/operation.ts'
import type { OperationData } from '../../src/plc/operation.ts'
import type { EvaluateInput } from '../../src/policy/evaluate.ts'
import { limitedRules } from '../../src/policy/evaluate.ts'
import type { Circumstances, PreviousOperation, Subject } from '../../src/policy/facts.ts'
import { changeKinds, operationClasses } from '../../src/policy/policy-set.ts'
import type { DenyRule, Match, PolicySet, Requirement, Rule } from '../../src/policy/policy-set.ts'
import type { Agreement } from '../../src/policy/count.ts'
import type { QuorumNode } from '../../src/policy/quorum.ts'
import type { Person, Roster } from '../../src/policy/roster.ts'
import {
  account,
  allowAll,
  dids,
  elsewhere,
  keys,
  OTHER_CID,
  policySet,
  previousOf,
} from './cases.ts'
import { secondsAgo, subjectOf } from './cases.ts'
import { plcOperation } from '../plc/build-log.ts'

const callers = ['alpha', 'beta']
const keyClasses = ['online', 'recovery'] as const

/** The first one six times of ten. */
const mostly = <T>(usual: T, ...others: readonly T[]): fc.Arbitrary<T> =>
  fc.oneof(
    { arbitrary: fc.constant(usual), weight: 6 },
    { arbitrary: fc.constantFrom(usual, ...others), weight: 4 },
  )

// Small pools, so that what must coincide for a rule to matter often does.
const data: fc.Arbitrary<OperationData> = fc.record({
  rotationKeys: fc.oneof(
    { arbitrary: fc.shuffledSubarray(Object.values(dids), { maxLength: 5 }), weight: 3 },
    fc.array(fc.constantFrom(...Object.values(dids)), { maxLength: 7 }),
    { arbitrary: fc.constant(account.rotationKeys), weight: 8 },
  ),
  verificationMethods: fc.constantFrom(
    account.verificationMethods,
    elsewhere.verificationMethods!,
    {},
    { atproto: dids.atproto, constructor: dids.users },
  ),
  alsoKnownAs: fc.constantFrom(account.alsoKnownAs, [], ['at://bob.example.com', 'x']),
  services: fc.constantFrom(
    account.services,
    elsewhere.services!,
    {},
    {
      ...account.services,
      toString: { type: 'T', endpoint: '' },
    },
  ),
})

const previousFields: fc.Arbitrary<Partial<PreviousOperation>> = fc.record({
  owner: mostly('alpha', 'beta'),
  nullified: mostly(false, true),
  ours: fc.boolean(),
  recordedAt: fc.constantFrom(0, 300, 301, 90_000).map(secondsAgo),
})

const previous: fc.Arbitrary<PreviousOperation> = fc
  .record({
    data,
    fields: previousFields,
    type: mostly('first', 'later', 'tombstone', 'create'),
  })
  .map(({ data, fields, type }) => {
    switch (type) {
      case 'tombstone':
        return previousOf({ type: 'plc_tombstone', prev: OTHER_CID }, fields)
      case 'create':
        return previousOf(legacy, fields)
      default:
        return previousOf(
          plcOperation({ ...data, prev: type === 'first' ? null : OTHER_CID }),
          fields,
        )
    }
  })

const legacy = {
  type: 'create' as const,
  signingKey: dids.online,
  recoveryKey: dids.recovery,
  handle: 'alice.example.com',
  service: 'https://pds.example.com',
  prev: null,
  sig: '',
}

/** What the same identity may ask for next: anything, or a small change, or a departure. */
function next(
  before: PreviousOperation,
  changes: OperationData,
  how: string,
): Subject['operation'] {
  const prev = before.cid
  const old = operationData(before.operation) ?? account
  switch (how) {
    case 'tombstone':
      return { type: 'plc_tombstone', prev }
    case 'departure':
      return plcOperation({ ...old, ...elsewhere, prev })
    case 'unchanged':
      return plcOperation({ ...old, prev })
    case 'keys':
      return plcOperation({ ...old, rotationKeys: changes.rotationKeys, prev })
    case 'names':
      return plcOperation({ ...old, alsoKnownAs: changes.alsoKnownAs, prev })
    default:
      return plcOperation({ ...changes, prev })
  }
}

export const subject: fc.Arbitrary<Subject> = fc
  .record({
    previous,
    changes: data,
    how: fc.constantFrom('tombstone', 'departure', 'unchanged', 'keys', 'names', 'anything'),
    known: mostly('known', 'unknown', 'genesis'),
    caller: mostly('alpha', 'beta'),
    key: mostly(keys[0]!, ...keys),
  })
  .map(({ previous, changes, how, known, caller, key }) => {
    if (known === 'genesis') return subjectOf(plcOperation(changes), null, { caller, key })
    const operation = next(previous, changes, how)
    return subjectOf(operation, known === 'known' ? previous : null, { caller, key })
  })

const some = <T>(items: readonly T[]) => fc.subarray([...items], { minLength: 1 })
const diff = fc.oneof({ arbitrary: fc.constant('any' as const), weight: 2 }, some(changeKinds))
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined })

/** Leaves out what is undefined: an omitted key is not a key that is undefined. */
function given<T extends object>(fields: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> }
}

const match: fc.Arbitrary<Match> = fc
  .record({ op: some(operationClasses), key: some(keyClasses), diff, caller: maybe(some(callers)) })
  .map(given)

const officerIds = ['alice', 'bob', 'carol', 'dora', 'erin', 'frank']

const person = (id: string, index: number): Person => ({
  id,
  org: ['acme', 'bank', 'club'][index % 3]!,
  roles: ['officer'],
  status: 'active',
  credentials: [],
})

export const roster: Roster = {
  env: 'dev',
  epoch: 1,
  previous: null,
  rp: { id: 'localhost', origins: ['http://localhost:2590'] },
  persons: officerIds.map(person),
  digest: new Uint8Array(32),
}

const someone = (id: string): QuorumNode => ({ kind: 'person', id })

/** Each person and each group once; a group of one, two or three members, one of them a group or not. */
const quorum: fc.Arbitrary<QuorumNode> = fc
  .record({
    who: fc.shuffledSubarray(officerIds, { minLength: 2 }),
    cut: fc.nat(3),
    k: fc.nat(),
    inner: fc.nat(),
  })
  .map(({ who, cut, k, inner }) => {
    const [outside, inside] = [who.slice(cut), who.slice(0, cut)]
    const nested: QuorumNode[] =
      inside.length === 0
        ? []
        : [{ kind: 'group', id: 'inner', k: 1 + (inner % inside.length), of: inside.map(someone) }]
    const of = [...outside.map(someone), ...nested]
    return { kind: 'group', id: 'outer', k: 1 + (k % of.length), of }
  })

export const requirement: fc.Arbitrary<Omit<Requirement, 'rule'>> = fc.record({
  quorum,
  separate: fc.constantFrom(null, { orgs: 2 }),
  approveBy: fc.constantFrom(3600, 86_400),
  executeBy: fc.constant(3600),
  delay: fc.constantFrom(0, 600),
  channel: fc.constantFrom(null, { cli: 1 }, { cli: 2 }),
  witness: fc.boolean(),
  alarm: fc.boolean(),
})

export const agreements: fc.Arbitrary<Agreement[]> = fc.array(
  fc.record({ person: fc.constantFrom(...officerIds, 'zoe'), cli: fc.boolean() }),
  { maxLength: 9 },
)

export const excluded = fc
  .subarray(officerIds, { maxLength: 1 })
  .map((ids): ReadonlySet<string> => new Set(ids))

const limit = fc.option(fc.integer({ min: 1, max: 4 }).map((count) => ({ count, seconds: 60 })))

const rules: fc.Arbitrary<Rule[]> = fc
  .array(
    fc.record({
      match,
      limits: fc.record({ global: limit, perDid: limit }),
      asked: fc.option(requirement, { freq: 2 }),
    }),
    { maxLength: 4 },
  )
  .map((list) =>
    list.map(({ match, limits, asked }, index) => {
      const id = `RULE-${index}`
      return { id, match, require: asked === null ? 'none' : { rule: id, ...asked }, limits }
    }),
  )

export const denyMatch: fc.Arbitrary<DenyRule['match']> = fc
  .record({
    op: maybe(some(operationClasses)),
    key: maybe(some(keyClasses)),
    diff: maybe(diff),
    caller: maybe(some(callers)),
  })
  .map(given)

const policies: fc.Arbitrary<PolicySet> = fc
  .record({
    rules,
    denies: fc.oneof(
      { arbitrary: fc.constant<DenyRule['match'][]>([]), weight: 3 },
      fc.array(denyMatch, { maxLength: 1 }),
    ),
    wide: fc.constantFrom('no', 'allows', 'allows', 'asks'),
    asked: requirement,
    pinned: fc.constantFrom(keys, keys, keys.slice(0, 3), keys.slice(0, 2)),
  })
  .map(({ rules, denies, wide, asked, pinned }) =>
    policySet({
      rules: [...wideRule(wide, asked), ...rules],
      denies: denies.map((match, index) => ({ id: `NO-${index}`, match })),
      keys: pinned,
      roster,
    }),
  )

function wideRule(wide: string, asked: Omit<Requirement, 'rule'>): Rule[] {
  if (wide === 'no') return []
  return [wide === 'allows' ? allowAll : { ...allowAll, require: { rule: allowAll.id, ...asked } }]
}

const counts = fc.record({
  hour: fc.constantFrom(0, 1, 7, 8),
  day: fc.constantFrom(0, 1, 24, 25),
  week: fc.constantFrom(0, 1, 89, 90),
})

/** Like the store, it counts the rules that `limitedRules` asks for and no others. */
export const input: fc.Arbitrary<EvaluateInput> = fc
  .record({
    subject,
    policies,
    operationCounts: fc.oneof(
      { arbitrary: fc.constant({ hour: 0, day: 0, week: 0 }), weight: 3 },
      counts,
    ),
    used: fc.array(mostly(0, 1, 2, 3, 4), { minLength: 4, maxLength: 4 }),
    observed: mostly('not read', 'prev', 'other'),
  })
  .map(({ subject, policies, operationCounts, used, observed }) => {
    const limited = limitedRules(subject, policies)
    const circumstances: Circumstances = {
      now: secondsAgo(0),
      observedHead: headOf(observed, subject),
      operationCounts,
      ruleCounts: countsOf(limited, 'global', used),
      didRuleCounts: countsOf(limited, 'perDid', used.toReversed()),
    }
    return { subject, policies, circumstances }
  })

function countsOf(
  limited: readonly Rule[],
  which: keyof Rule['limits'],
  used: readonly number[],
): Record<string, number> {
  const counted = limited.filter(({ limits }) => limits[which] !== null)
  return Object.fromEntries(counted.map(({ id }, index) => [id, used[index]!]))
}

function headOf(observed: string, { operation }: Subject): string | null {
  if (observed === 'not read') return null
  return observed === 'prev' ? operation.prev : OTHER_CID
}
