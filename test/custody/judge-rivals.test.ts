import { describe, expect, test } from 'vitest'
import type { ClaimSnapshot, StoredRequest } from '../../src/custody/ports.ts'
import { SIGNATURE_STANDS_MS, judgeRivals } from '../../src/custody/rivals.ts'
import { FRESH_GENESIS_MS, deriveFacts } from '../../src/policy/facts.ts'
import { parsePolicySet } from '../../src/policy/parse.ts'
import { keyNamed } from '../plc/build-log.ts'
import { genesisOf, signBy, tombstoneOf } from '../support/operations.ts'

// To the millisecond, as no database can be stopped.

const now = new Date('2026-03-01T12:00:00.000Z')
const before = (ms: number) => new Date(now.getTime() - ms)
const prev = 'bafyreiaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'

function rival(changes: Partial<StoredRequest>): StoredRequest {
  const signature = changes.producedAt === undefined ? null : new Uint8Array(64)
  return {
    id: 'the-rival',
    caller: 'pds',
    keyId: 'pds',
    digest: new Uint8Array(32),
    unsigned: new Uint8Array(1),
    did: 'did:plc:aaaaaaaaaaaaaaaaaaaaaaaa',
    prev,
    operationClass: 'update',
    state: signature === null ? 'signing' : 'returned',
    decision: { kind: 'allow', rules: ['ACCOUNT'], limits: [] },
    policy: new Uint8Array(32),
    replaces: [],
    leaseUntil: null,
    signature,
    cid: null,
    createdAt: before(3_600_000),
    intendedAt: before(3_600_000),
    producedAt: null,
    ...changes,
  }
}

const snapshot = (...rivals: StoredRequest[]): ClaimSnapshot => ({
  now,
  same: [],
  rivals,
  asked: [],
  open: [],
  openOfCaller: 0,
  instanceNow: now,
  clocksApart: 0,
  operationCounts: { hour: 0, day: 0, week: 0 },
  ruleCounts: {},
  didRuleCounts: {},
})

const readBegun = (begunAt: Date) => ({ head: prev, begunAt })

describe('a rival that was signed', () => {
  test('59.999 seconds ago: denied, naming it', () => {
    const verdict = judgeRivals(
      snapshot(rival({ producedAt: before(SIGNATURE_STANDS_MS - 1) })),
      undefined,
      readBegun(now),
    )

    expect(verdict).toMatchObject({
      kind: 'deny',
      finding: { rule: 'PREV-ONE-LIVE-SIGNATURE', message: expect.stringContaining('the-rival') },
    })
  })

  test('60 seconds ago: goes on, and replaces it, after a read begun now', () => {
    const old = rival({ producedAt: before(SIGNATURE_STANDS_MS) })

    expect(judgeRivals(snapshot(old), undefined, readBegun(now))).toEqual({
      kind: 'go-on',
      mustRead: false,
      supersedes: [old],
    })
  })

  test.each([
    ['no read', null, true],
    ['a read begun a millisecond too early', readBegun(before(5_001)), true],
    ['a read begun when its time had ended', readBegun(before(5_000)), false],
  ])('65 seconds ago, and %s', (_name, observed, mustRead) => {
    const old = rival({ producedAt: before(SIGNATURE_STANDS_MS + 5_000) })

    expect(judgeRivals(snapshot(old), undefined, observed)).toMatchObject({
      kind: 'go-on',
      mustRead,
    })
  })

  test('and replaced since: the next one still reads, and does not replace it again', () => {
    const old = rival({ state: 'superseded', producedAt: before(3_600_000) })

    expect(judgeRivals(snapshot(old), undefined, null)).toEqual({
      kind: 'go-on',
      mustRead: true,
      supersedes: [],
    })
  })
})

describe('a rival that is being signed', () => {
  test('with a lease that ends in a millisecond: denied', () => {
    const live = rival({ leaseUntil: new Date(now.getTime() + 1) })

    expect(judgeRivals(snapshot(live), undefined, null)).toMatchObject({ kind: 'deny' })
  })

  test('with a lease that ends now: it ends here, and no read is needed', () => {
    const dead = rival({ leaseUntil: now })

    expect(judgeRivals(snapshot(dead), undefined, null)).toEqual({
      kind: 'go-on',
      mustRead: false,
      supersedes: [dead],
    })
  })

  test('beside one that had its time: denied by the living one', () => {
    const old = rival({ producedAt: before(3_600_000) })
    const live = rival({ id: 'the-living', leaseUntil: new Date(now.getTime() + 1) })

    expect(judgeRivals(snapshot(old, live), undefined, readBegun(now))).toMatchObject({
      finding: { message: expect.stringContaining('the-living') },
    })
  })
})

test('bytes whose signature was replaced are denied, whatever was read', () => {
  const replaced = rival({ id: 'replaced', state: 'superseded', producedAt: before(3_600_000) })

  expect(judgeRivals(snapshot(), replaced, readBegun(now))).toMatchObject({
    kind: 'deny',
    finding: { rule: 'PREV-ONE-LIVE-SIGNATURE', message: expect.stringContaining('replaced') },
  })
})

describe('a tombstone of our genesis', async () => {
  const key = await keyNamed('tombstone-key')
  const genesis = await signBy(key, genesisOf('tombstone', [key.did()]))
  const policies = parsePolicySet({
    keys: JSON.stringify({
      keys: 'holdfast/keys/v1',
      list: [{ id: 'pds', class: 'online', curve: 'K-256', did: key.did(), uri: 'file:pds' }],
    }),
    callers: JSON.stringify({ callers: 'holdfast/callers/v1', list: [] }),
    policy: JSON.stringify({ policy: 'holdfast/policy/v1', env: 'dev', rules: [] }),
  })

  test.each([
    [FRESH_GENESIS_MS, 'tombstone.fresh'],
    [FRESH_GENESIS_MS + 1, 'tombstone'],
  ])('recorded %i ms ago is a %s', (age, operationClass) => {
    const previous = {
      did: genesis.did,
      cid: genesis.cid,
      operation: genesis.operation,
      owner: 'pds',
      nullified: false,
      recordedAt: before(age),
      ours: true,
    }
    const subject = {
      caller: 'pds',
      key: policies.keys[0]!,
      operation: tombstoneOf(genesis),
      previous,
    }
    const { now: at, same: _same, rivals: _rivals, ...counts } = snapshot()
    const circumstances = { now: at, observedHead: null, ...counts }

    expect(FRESH_GENESIS_MS).toBe(300_000)
    expect(deriveFacts(subject, circumstances, policies)).toMatchObject({ operationClass })
  })
})
