import { describe, expect, test } from 'vitest'
import type { OperationData } from '../../src/plc/operation.ts'
import { deriveFacts } from '../../src/policy/facts.ts'
import type { Circumstances, Subject } from '../../src/policy/facts.ts'
import type { OperationClass } from '../../src/policy/policy-set.ts'
import {
  account,
  circumstances,
  dids,
  elsewhere,
  genesis,
  OTHER_CID,
  policySet,
  previousOf,
  secondsAgo,
  subjectOf,
  tombstone,
  update,
} from './cases.ts'
import { plcOperation } from '../plc/build-log.ts'

function classOf(subject: Subject, given: Partial<Circumstances> = {}): OperationClass {
  return deriveFacts(subject, circumstances(given), policySet()).operationClass
}

const PDS = account.services.atproto_pds!

describe('each operation has exactly one class', () => {
  test('genesis: prev is null', () => {
    expect(classOf(genesis())).toBe('genesis')
  })

  test('update: follows an operation', () => {
    expect(classOf(update({}))).toBe('update')
  })

  test('update: what follows an unknown operation is not guessed to be anything else', () => {
    expect(classOf({ ...update(elsewhere), previous: null })).toBe('update')
  })

  test('nullify: the directory shows another head', () => {
    const subject = update({})
    expect(classOf(subject, { observedHead: subject.operation.prev })).toBe('update')
    expect(classOf(subject, { observedHead: OTHER_CID })).toBe('nullify')
  })

  test('nullify: whatever else the operation would be', () => {
    expect(classOf(update(elsewhere), { observedHead: OTHER_CID })).toBe('nullify')
  })

  test('tombstone.fresh: ends a genesis that was signed here for the caller a moment ago', () => {
    expect(classOf(tombstone(300))).toBe('tombstone.fresh')
  })

  const update2 = previousOf(plcOperation({ ...account, prev: OTHER_CID }), {
    recordedAt: secondsAgo(1),
  })
  test.each([
    { what: 'too old', subject: tombstone(300.001) },
    { what: 'not signed here', subject: tombstone(1, { ours: false }) },
    { what: "another caller's", subject: tombstone(1, { owner: 'beta' }) },
    { what: 'unknown', subject: { ...tombstone(1), previous: null } },
    {
      what: 'an update',
      subject: subjectOf({ type: 'plc_tombstone', prev: update2.cid }, update2),
    },
  ])('tombstone: what it ends is $what', ({ subject }) => {
    expect(classOf(subject)).toBe('tombstone')
  })
})

describe('departure: endpoint and atproto key change, and every key of ours leaves', () => {
  test('all of them together', () => {
    expect(classOf(update(elsewhere))).toBe('departure')
  })

  test('another handle and more keys make no difference', () => {
    const more: Partial<OperationData> = {
      ...elsewhere,
      alsoKnownAs: ['at://alice.elsewhere.example.net'],
      rotationKeys: [dids.users, dids.users2],
    }
    expect(classOf(update(more))).toBe('departure')
  })

  test('from a legacy genesis too', () => {
    const previous = previousOf({
      type: 'create',
      signingKey: dids.online,
      recoveryKey: dids.users,
      handle: 'alice.example.com',
      service: 'pds.example.com',
      prev: null,
      sig: '',
    })
    const operation = plcOperation({ ...account, ...elsewhere, prev: previous.cid })
    expect(classOf(subjectOf(operation, previous))).toBe('departure')
  })

  const kept: readonly { what: string; changes: Partial<OperationData> }[] = [
    { what: 'the endpoint stays', changes: { services: account.services } },
    { what: 'the PDS is removed', changes: { services: {} } },
    {
      what: 'only the type of the PDS changes',
      changes: { services: { atproto_pds: { ...PDS, type: 'Other' } } },
    },
    {
      what: 'another service gets the endpoint',
      changes: { services: { ...account.services, other: elsewhere.services!.atproto_pds! } },
    },
    {
      what: 'the atproto key stays',
      changes: { verificationMethods: account.verificationMethods },
    },
    { what: 'the atproto key is removed', changes: { verificationMethods: {} } },
    {
      what: 'another key changes',
      changes: { verificationMethods: { ...account.verificationMethods, other: dids.atproto2 } },
    },
    { what: 'our key stays', changes: { rotationKeys: [dids.users, dids.online] } },
    { what: 'the recovery key stays', changes: { rotationKeys: [dids.recovery, dids.users] } },
    { what: 'another online key comes', changes: { rotationKeys: [dids.users, dids.online2] } },
    { what: 'another recovery key comes', changes: { rotationKeys: [dids.recovery2] } },
  ]
  test.each(kept)('not when $what', ({ changes }) => {
    expect(classOf(update({ ...elsewhere, ...changes }))).toBe('update')
  })

  test('not when no key of ours was there to leave', () => {
    expect(classOf(update(elsewhere, { rotationKeys: [dids.users2] }))).toBe('update')
  })

  test('not from a tombstone', () => {
    const previous = previousOf({ type: 'plc_tombstone', prev: OTHER_CID })
    const operation = plcOperation({ ...account, ...elsewhere, prev: previous.cid })
    expect(classOf(subjectOf(operation, previous))).toBe('update')
  })
})
