import { describe, expect, test } from 'vitest'
import { evaluate, limitedRules } from '../../src/policy/evaluate.ts'
import { changeKinds } from '../../src/policy/policy-set.ts'
import {
  allowAll,
  deny,
  dids,
  elsewhere,
  genesis,
  inputOf,
  keyConfig,
  policySet,
  rule,
  tombstone,
  update,
  verdictOn,
} from './cases.ts'
import type { Case } from './cases.ts'

const handle = update({ alsoKnownAs: ['at://bob.example.com'] })
const handleAndKey = update({
  alsoKnownAs: ['at://bob.example.com'],
  verificationMethods: { atproto: dids.atproto2 },
})
const unchanged = update({})

function under(subject: Case['subject'], ...rules: ReturnType<typeof rule>[]): string {
  return verdictOn({ subject, policies: { rules } })
}

describe('a rule matches by class, key, caller and changes', () => {
  test('all of them', () => {
    const full = rule('R', { diff: ['alsoKnownAs'], caller: ['alpha'] })
    expect(under(handle, full)).toBe('allow R')
  })

  test('no rule: denied', () => {
    expect(under(handle)).toBe('deny POLICY-UNMATCHED')
  })

  test.each([
    { what: 'class', match: { op: ['genesis', 'departure'] as const } },
    { what: 'key', match: { key: ['recovery'] as const } },
    { what: 'caller', match: { caller: ['beta', 'gamma'] } },
    { what: 'changes', match: { diff: ['services.other', 'none'] as const } },
  ])('another $what: denied', ({ match }) => {
    expect(under(handle, rule('R', match))).toBe('deny POLICY-UNMATCHED')
  })

  test('the key is the one that is to sign', () => {
    const subject = { ...handle, key: keyConfig({ class: 'recovery', did: dids.recovery }) }
    expect(under(subject, rule('R'))).toBe('deny POLICY-UNMATCHED')
    expect(under(subject, rule('R', { key: ['recovery'] }))).toBe('allow R')
  })

  test('the whole set of changes must lie inside one list', () => {
    const name = 'alsoKnownAs'
    const key = 'verificationMethods.atproto'
    const apart = [rule('R1', { diff: [name] }), rule('R2', { diff: [key] })]
    expect(under(handleAndKey, ...apart)).toBe('deny POLICY-UNMATCHED')
    expect(under(handleAndKey, rule('R', { diff: [name, key] }))).toBe('allow R')
  })

  test('no changes lie inside no list but that of `none`', () => {
    expect(under(unchanged, rule('R', { diff: ['alsoKnownAs'] }))).toBe('deny POLICY-UNMATCHED')
    expect(under(unchanged, rule('R', { diff: ['none'] }))).toBe('allow R')
  })

  test.each([
    { what: 'genesis', subject: genesis(), op: 'genesis' as const },
    { what: 'tombstone', subject: tombstone(1), op: 'tombstone.fresh' as const },
  ])('the empty set of a $what lies inside no list at all', ({ subject, op }) => {
    expect(under(subject, rule('R', { op: [op], diff: changeKinds }))).toBe('deny POLICY-UNMATCHED')
    expect(under(subject, rule('R', { op: [op], diff: 'any' }))).toBe('allow R')
  })

  test('every matching rule is named', () => {
    const rules = [rule('R1'), rule('OTHER', { op: ['genesis'] }), rule('R2', { diff: 'any' })]
    expect(under(handle, ...rules)).toBe('allow R1 R2')
  })
})

describe('deny entries', () => {
  const denying = (match: Parameters<typeof deny>[1], subject = handleAndKey) =>
    verdictOn({ subject, policies: { denies: [deny('NO', match)] } })

  test('win over every rule', () => {
    expect(denying({ op: ['update'] })).toBe('deny NO')
  })

  test('an omitted key means any', () => {
    expect(denying({})).toBe('deny NO')
    expect(denying({ diff: 'any' }, genesis())).toBe('deny NO')
  })

  test('match when any of the changes occurs', () => {
    expect(denying({ diff: ['services.other', 'alsoKnownAs'] })).toBe('deny NO')
    expect(denying({ diff: ['services.other'] })).toBe('allow ALLOW-ALL')
  })

  test.each([
    { what: 'class', match: { op: ['genesis'] as const } },
    { what: 'key', match: { key: ['recovery'] as const } },
    { what: 'caller', match: { caller: ['beta'] } },
  ])('do not match another $what', ({ match }) => {
    expect(denying(match)).toBe('allow ALLOW-ALL')
    expect(denying({ ...match, diff: ['alsoKnownAs'] })).toBe('allow ALLOW-ALL')
  })

  test('all of them are named, after what always holds', () => {
    const denies = [deny('NO1', {}), deny('NO2', { op: ['update'] }), deny('OTHER', { op: [] })]
    const subject = update({ rotationKeys: [dids.recovery] })
    expect(verdictOn({ subject, policies: { denies, rules: [] } })).toBe(
      'deny PLC-ROTATION-KEEP-OURS NO1 NO2 POLICY-UNMATCHED',
    )
  })
})

describe('limits', () => {
  const limited = rule('TWENTY', {}, '20/86400')
  const after = (count: number, rules = [limited]) => {
    const given: Case = {
      subject: handle,
      policies: { rules },
      circumstances: { ruleCounts: { TWENTY: count } },
    }
    const { decision } = evaluate(inputOf(given))
    return { verdict: verdictOn(given), decision }
  }

  test('the last one is allowed, the next is not', () => {
    expect(after(19).verdict).toBe('allow TWENTY')
    expect(after(20).verdict).toBe('deny TWENTY')
  })

  test('another rule that matches does not stand in for it', () => {
    expect(after(20, [allowAll, limited]).verdict).toBe('deny TWENTY')
    expect(after(19, [allowAll, limited]).verdict).toBe('allow ALLOW-ALL TWENTY')
  })

  test.each([
    { count: 20, before: 8, alarm: false },
    { count: 20, before: 9, alarm: true },
    { count: 20, before: 19, alarm: true },
    { count: 5, before: 1, alarm: false },
    { count: 5, before: 2, alarm: true },
    { count: 1, before: 0, alarm: true },
  ])('$before of $count used before: alarm $alarm', ({ count, before, alarm }) => {
    const { decision } = after(before, [rule('TWENTY', {}, `${count}/60`)])
    expect(decision).toMatchObject({ limits: [{ rule: 'TWENTY', used: before + 1, count, alarm }] })
  })

  test('a limit that was not counted is never taken for an unused one', () => {
    const input = inputOf({ subject: handle, policies: { rules: [limited] } })
    expect(() => evaluate(input)).toThrow('TWENTY')
  })

  test.each([
    { what: 'a genesis', subject: genesis(), wanted: ['genesis', 'nullify'] },
    { what: 'an update', subject: handle, wanted: ['nullify', 'update'] },
    { what: 'a departure', subject: update(elsewhere), wanted: ['departure', 'nullify'] },
    { what: 'a tombstone', subject: tombstone(1), wanted: ['tombstone', 'tombstone.fresh'] },
  ])('for $what only the rules of its possible classes are counted', ({ subject, wanted }) => {
    const rules = allowAll.match.op.map((op) => rule(op, { op: [op] }, '1/60'))
    const policies = policySet({ rules: [...rules, allowAll] })
    const ids = limitedRules(subject, policies).map(({ id }) => id)
    expect(ids.sort()).toEqual(wanted)
  })

  test("for another caller's departure, told as unknown, no limit of an update is needed", () => {
    const subject = { ...update(elsewhere), caller: 'beta' }
    const rules = [rule('U', {}, '1/60'), rule('D', { op: ['departure'] }, '1/60')]
    const callers = ['alpha', 'beta'].map((name) => ({ name, keys: ['pds'] }))
    const policies = { rules, callers }
    expect(limitedRules(subject, policySet(policies)).map(({ id }) => id)).toEqual(['D'])
    const circumstances = { ruleCounts: { D: 0 } }
    expect(verdictOn({ subject, policies, circumstances })).toBe('deny DID-OF-CALLER')
    const unknown = { ...subject, previous: null }
    expect(verdictOn({ subject: unknown, policies, circumstances })).toBe('deny PREV-KNOWN')
  })
})

describe('messages', () => {
  const messageOf = (given: Case) => {
    const { decision } = evaluate(inputOf(given))
    return decision.kind === 'deny' ? decision.findings[0].message : ''
  }

  test('POLICY-UNMATCHED names the class and the changes', () => {
    const policies = { rules: [] }
    expect(messageOf({ subject: handleAndKey, policies })).toContain(
      'this update (changes: alsoKnownAs, verificationMethods.atproto)',
    )
    expect(messageOf({ subject: genesis(), policies })).toContain('this genesis (changes: all)')
  })

  test('a limit that is reached says where it is raised', () => {
    const policies = { rules: [rule('R', {}, '1/60')] }
    expect(
      messageOf({ subject: handle, policies, circumstances: { ruleCounts: { R: 1 } } }),
    ).toContain('policy.yaml')
  })
})
