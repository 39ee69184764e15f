import { describe, expect, test } from 'vitest'
import { didBudget } from '../../src/policy/invariants/did-budget.ts'
import { invariants } from '../../src/policy/invariants/index.ts'
import { deriveFacts } from '../../src/policy/facts.ts'
import type { OperationData } from '../../src/plc/operation.ts'
import {
  account,
  deny,
  dids,
  elsewhere,
  genesis,
  inputOf,
  keyConfig,
  keys,
  NOW,
  OTHER_CID,
  previousOf,
  secondsAgo,
  subjectOf,
  tombstone,
  update,
  verdictOn,
} from './cases.ts'
import type { Case } from './cases.ts'
import { plcOperation } from '../plc/build-log.ts'

const nothing = { subject: update({}) }
const handle: Partial<OperationData> = { alsoKnownAs: ['at://bob.example.com'] }
const onlineOnly = { keys: keys.filter((key) => key.class === 'online') }
const { users, users2, online, online2, recovery, recovery2 } = dids
const many = Array.from({ length: 11 }, (_, index) => `id${index}`)
const mapOf = <T>(ids: readonly string[], value: T) =>
  Object.fromEntries(ids.map((id) => [id, value]))
const service = { type: 'T', endpoint: 'https://a.example' }
const large: Partial<OperationData> = {
  alsoKnownAs: many.slice(1).map((id) => id.repeat(60)),
  verificationMethods: mapOf(many.slice(1), 'd'.repeat(256)),
}

/** Per rule: what is well, and the one field that breaks it. */
const rules: readonly { rule: string; good: Case; bad: Case }[] = [
  {
    rule: 'PLC-ROTATION-KEYS-EMPTY',
    good: { subject: update(elsewhere) },
    bad: { subject: update({ ...elsewhere, rotationKeys: [] }) },
  },
  {
    rule: 'PLC-ROTATION-KEYS-COUNT',
    good: { subject: update({ rotationKeys: [recovery, recovery2, online, users, users2] }) },
    bad: {
      subject: update({
        rotationKeys: [recovery, recovery2, online, users, users2, dids.atproto],
      }),
    },
  },
  {
    rule: 'PLC-ROTATION-KEYS-DUPLICATE',
    good: { subject: update({ rotationKeys: [recovery, online, users] }) },
    bad: { subject: update({ rotationKeys: [recovery, online, online] }) },
  },
  {
    rule: 'PLC-ROTATION-KEY-CURVE',
    good: { subject: update({ rotationKeys: [recovery, online, users2] }) },
    bad: { subject: update({ rotationKeys: [recovery, online, `${users2}x`] }) },
  },
  {
    rule: 'PLC-VERIFICATION-METHODS-LIMIT',
    good: { subject: update({ verificationMethods: mapOf(many.slice(1), 'did:key:zAny') }) },
    bad: { subject: update({ verificationMethods: mapOf(many, 'did:key:zAny') }) },
  },
  {
    rule: 'PLC-ATPROTO-KEY-CURVE',
    good: { subject: update({ verificationMethods: { atproto: users2 } }) },
    bad: { subject: update({ verificationMethods: { atproto: 'did:key:zAny' } }) },
  },
  {
    rule: 'PLC-ALSO-KNOWN-AS-LIMIT',
    good: { subject: update({ alsoKnownAs: many.slice(1) }) },
    bad: { subject: update({ alsoKnownAs: many }) },
  },
  {
    rule: 'PLC-SERVICES-LIMIT',
    good: { subject: update({ services: mapOf(many.slice(1), service) }) },
    bad: { subject: update({ services: mapOf(many, service) }) },
  },
  {
    rule: 'PLC-OPERATION-SIZE',
    good: { subject: update({ ...large, alsoKnownAs: [] }) },
    bad: { subject: update(large) },
  },
  {
    rule: 'PREV-KNOWN',
    good: nothing,
    bad: { subject: { ...nothing.subject, previous: null } },
  },
  {
    rule: 'DID-OF-CALLER',
    good: nothing,
    bad: { subject: update({}, {}, { owner: 'beta' }) },
  },
  {
    rule: 'PREV-IS-HEAD',
    good: {
      subject: nothing.subject,
      circumstances: { observedHead: nothing.subject.operation.prev },
    },
    bad: { subject: nothing.subject, circumstances: { observedHead: OTHER_CID } },
  },
  {
    rule: 'POLICY-KEY-IN-FORCE',
    good: nothing,
    bad: { subject: { ...nothing.subject, key: keyConfig({ retired: true }) } },
  },
  {
    rule: 'PLC-KEY-LISTED',
    good: nothing,
    bad: { subject: { ...nothing.subject, key: keyConfig({ id: 'pds2', did: online2 }) } },
  },
  {
    rule: 'PLC-ROTATION-KEEP-OURS',
    good: { subject: update({ rotationKeys: [recovery, online, users] }) },
    bad: { subject: update({ rotationKeys: [recovery, users] }) },
  },
  {
    rule: 'PLC-ROTATION-KEEP-RECOVERY',
    good: { subject: update({ rotationKeys: [users, recovery, online] }) },
    bad: { subject: update({ rotationKeys: [users, online] }) },
  },
  {
    rule: 'PLC-ROTATION-RECOVERY-ABOVE',
    good: { subject: update({ rotationKeys: [recovery, users, online] }) },
    bad: { subject: update({ rotationKeys: [online, users, recovery] }) },
  },
  {
    rule: 'PLC-GENESIS-RECOVERY',
    good: { subject: genesis() },
    bad: { subject: genesis({ rotationKeys: [users, online] }) },
  },
  {
    rule: 'PLC-TOMBSTONE-FRESH',
    good: { subject: tombstone(300) },
    bad: { subject: tombstone(300.001) },
  },
  {
    rule: 'DID-BUDGET',
    good: {
      subject: nothing.subject,
      circumstances: { operationCounts: { hour: 7, day: 24, week: 89 } },
    },
    bad: {
      subject: nothing.subject,
      circumstances: { operationCounts: { hour: 8, day: 24, week: 89 } },
    },
  },
  {
    rule: 'POLICY-KEY-GRANTED',
    good: nothing,
    bad: {
      subject: nothing.subject,
      policies: { callers: [{ name: 'alpha', keys: ['pds2'] }] },
    },
  },
]

test.each(rules)('$rule: one field decides', ({ rule, good, bad }) => {
  expect(verdictOn(good)).toBe('allow ALLOW-ALL')
  expect(verdictOn(bad)).toBe(`deny ${rule}`)
})

test('each invariant stands behind exactly one of the cases above', () => {
  const broken = rules.map(({ bad }) => {
    const { subject, circumstances, policies } = inputOf(bad)
    const facts = deriveFacts(subject, circumstances, policies)
    return invariants.findIndex((check) => check(facts) !== null)
  })
  expect(broken).toEqual(invariants.map((_check, index) => index))
})

describe('what all of them share', () => {
  test('no rule of the policy is needed for an invariant to deny', () => {
    for (const { rule, bad } of rules) {
      expect(verdictOn({ ...bad, policies: { ...bad.policies, rules: [] } })).toContain(
        `deny ${rule}`,
      )
    }
  })

  test('every message is printable', () => {
    for (const { bad } of rules) {
      const { subject, circumstances, policies } = inputOf(bad)
      const facts = deriveFacts(subject, circumstances, policies)
      for (const finding of invariants.flatMap((check) => check(facts) ?? [])) {
        expect(finding.message).toMatch(/^[ -~]+$/)
      }
    }
  })
})

describe('a second key of its own', () => {
  const second = keyConfig({ id: 'pds2', did: online2 })
  const callers = { callers: [{ name: 'alpha', keys: ['pds', 'pds2'] }] }
  const both = { rotationKeys: [recovery, online, online2] }

  test.each([
    ['a genesis that lists it', genesis(both), 'allow ALLOW-ALL'],
    ['a genesis that does not', genesis(), 'deny PLC-KEY-LISTED'],
    ['an update of an identity that lists it', update({}, both), 'allow ALLOW-ALL'],
    ['an update that would add it', update(both), 'deny PLC-KEY-LISTED'],
  ])('%s', (_what, subject, verdict) => {
    expect(verdictOn({ subject: { ...subject, key: second }, policies: callers })).toBe(verdict)
  })

  test('is enough to keep, unless it is retired', () => {
    const subject = update({ rotationKeys: [recovery, online2] })
    const retired = keys.map((key) =>
      key.id === 'pds2' ? { ...key, retired: true as const } : key,
    )
    expect(verdictOn({ subject })).toBe('allow ALLOW-ALL')
    expect(verdictOn({ subject, policies: { keys: retired } })).toBe('deny PLC-ROTATION-KEEP-OURS')
  })
})

describe('prev and the identity', () => {
  test('PREV-KNOWN: nothing else is said of an unknown prev, whatever the policy says', () => {
    const subject = { ...update({ rotationKeys: [] }), previous: null }
    const policies = { rules: [], denies: [deny('NOTHING', {})] }
    expect(verdictOn({ subject, policies })).toBe('deny PREV-KNOWN')
  })

  test('PREV-IS-HEAD: nothing follows a tombstone', () => {
    const previous = previousOf({ type: 'plc_tombstone', prev: OTHER_CID })
    const subject = subjectOf(plcOperation({ ...account, prev: previous.cid }), previous)
    expect(verdictOn({ subject })).toBe('deny PREV-IS-HEAD')
  })

  test('PREV-IS-HEAD: nothing follows a nullified operation', () => {
    expect(verdictOn({ subject: update(handle, {}, { nullified: true }) })).toBe(
      'deny PREV-IS-HEAD',
    )
  })

  test.each(['hour', 'day', 'week'] as const)('DID-BUDGET: the %s has its own', (window) => {
    const counts = { hour: 0, day: 0, week: 0 }
    const given = (count: number) =>
      verdictOn({ ...nothing, circumstances: { operationCounts: { ...counts, [window]: count } } })
    expect(given(didBudget[window] - 1)).toBe('allow ALLOW-ALL')
    expect(given(didBudget[window])).toBe('deny DID-BUDGET')
  })

  test('DID-BUDGET: below the limits of the directory, so that a reserve is left', () => {
    expect(didBudget).toEqual({ hour: 8, day: 25, week: 90 })
  })
})

describe('rotation keys', () => {
  test('PLC-KEY-LISTED: in a genesis the key must be in the operation itself', () => {
    expect(verdictOn({ subject: { ...genesis(), key: keyConfig({ did: online2 }) } })).toBe(
      'deny PLC-KEY-LISTED',
    )
  })

  test('PLC-KEY-LISTED: a tombstone is signed by a key of the operation before it', () => {
    const subject = { ...tombstone(1), key: keyConfig({ did: online2 }) }
    expect(verdictOn({ subject })).toBe('deny PLC-KEY-LISTED')
  })

  test('PLC-ROTATION-KEEP-OURS: another online key of ours may take its place', () => {
    expect(verdictOn({ subject: update({ rotationKeys: [recovery, online2] }) })).toBe(
      'allow ALLOW-ALL',
    )
  })

  test('PLC-ROTATION-KEEP-OURS: a recovery key alone is not enough', () => {
    expect(verdictOn({ subject: update({ rotationKeys: [recovery] }) })).toBe(
      'deny PLC-ROTATION-KEEP-OURS',
    )
  })

  test('PLC-ROTATION-KEEP-RECOVERY: another pinned recovery key may take its place', () => {
    expect(verdictOn({ subject: update({ rotationKeys: [recovery2, online] }) })).toBe(
      'allow ALLOW-ALL',
    )
  })

  test('PLC-ROTATION-KEEP-RECOVERY: an identity without one stays as it is', () => {
    const subject = update(handle, { rotationKeys: [online] })
    expect(verdictOn({ subject })).toBe('allow ALLOW-ALL')
  })

  test('PLC-ROTATION-RECOVERY-ABOVE: every recovery key stands above every online key', () => {
    const given = (rotationKeys: string[]) => verdictOn({ subject: update({ rotationKeys }) })
    expect(given([recovery, online2, online])).toBe('allow ALLOW-ALL')
    expect(given([users, recovery, recovery2, online])).toBe('allow ALLOW-ALL')
    expect(given([recovery, online, recovery2])).toBe('deny PLC-ROTATION-RECOVERY-ABOVE')
    expect(given([online2, recovery, online])).toBe('deny PLC-ROTATION-RECOVERY-ABOVE')
  })

  test('PLC-ROTATION-RECOVERY-ABOVE: holds in a genesis too', () => {
    expect(verdictOn({ subject: genesis({ rotationKeys: [online, recovery] }) })).toBe(
      'deny PLC-ROTATION-RECOVERY-ABOVE',
    )
  })

  test('PLC-GENESIS-RECOVERY: asks for nothing while no recovery key is configured', () => {
    const subject = genesis({ rotationKeys: [online] })
    expect(verdictOn({ subject, policies: onlineOnly })).toBe('allow ALLOW-ALL')
  })

  test('PLC-GENESIS-RECOVERY: names the setting of the PDS that brings it', () => {
    const { subject, circumstances, policies } = inputOf({
      subject: genesis({ rotationKeys: [online] }),
    })
    const facts = deriveFacts(subject, circumstances, policies)
    const messages = invariants.flatMap((check) => check(facts)?.message ?? [])
    expect(messages).toEqual([expect.stringContaining(`PDS_RECOVERY_DID_KEY=${recovery}`)])
  })

  test('a departure keeps none of our keys and breaks none of these rules', () => {
    expect(verdictOn({ subject: update(elsewhere) })).toBe('allow ALLOW-ALL')
  })
})

describe('PLC-TOMBSTONE-FRESH', () => {
  const fresh = { recordedAt: secondsAgo(10) }

  test('a genesis of the same caller, signed here at most 300 seconds ago', () => {
    expect(verdictOn({ subject: tombstone(0) })).toBe('allow ALLOW-ALL')
  })

  test.each([
    { what: 'was not signed here', subject: tombstone(10, { ours: false }) },
    { what: 'is old', subject: tombstone(301) },
  ])('not when the genesis $what', ({ subject }) => {
    expect(verdictOn({ subject })).toBe('deny PLC-TOMBSTONE-FRESH')
  })

  test('not when the genesis belongs to another caller', () => {
    const subject = tombstone(10, { owner: 'beta' })
    expect(verdictOn({ subject })).toBe('deny DID-OF-CALLER PLC-TOMBSTONE-FRESH')
  })

  test('not when what it ends is an update', () => {
    const previous = previousOf(plcOperation({ ...account, prev: OTHER_CID }), fresh)
    const subject = subjectOf({ type: 'plc_tombstone', prev: previous.cid }, previous)
    expect(verdictOn({ subject })).toBe('deny PLC-TOMBSTONE-FRESH')
  })

  test('not when the directory shows another head', () => {
    const given = (observedHead: string | null) =>
      verdictOn({ subject: tombstone(10), circumstances: { observedHead, now: NOW } })
    expect(given(tombstone(10).operation.prev)).toBe('allow ALLOW-ALL')
    expect(given(OTHER_CID)).toBe('deny PREV-IS-HEAD')
  })
})
