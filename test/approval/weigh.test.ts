import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { statementOf } from '../../src/approval/matter.ts'
import type { Matter } from '../../src/approval/matter.ts'
import { lackingText } from '../../src/approval/quorum.ts'
import { encodeStatement } from '../../src/approval/statement.ts'
import type { Statement } from '../../src/approval/statement.ts'
import { encodeEvidence } from '../../src/approval/evidence.ts'
import { weigh } from '../../src/approval/weigh.ts'
import type { WeighInput } from '../../src/approval/weigh.ts'
import type { VerifiedApproval } from '../../src/approval/verify.ts'
import type { Person, Roster } from '../../src/policy/roster.ts'
import { NOW, OTHER_CID, dids } from '../policy/cases.ts'
import { passkeyId } from '../policy/officers.ts'
import {
  AFTER_DELAY,
  SIGNED_AT,
  approvalsOf,
  clocksAt,
  didKeyEvidence,
  matterOf,
  passkeyApproval,
  requirements,
  roster,
  seconds,
  signatoryOf,
  verified,
  weighing,
} from './cases.ts'

const HOUR = 3600
const [alice, bob, carol, dora, erin] = (await approvalsOf(
  'alice',
  'bob',
  'carol',
  'dora',
  'erin',
)) as [VerifiedApproval, VerifiedApproval, VerifiedApproval, VerifiedApproval, VerifiedApproval]
const alicePasskey = await verified(await passkeyApproval('alice'))
const [noAlice, noDora] = (await approvalsOf(
  { person: 'alice', fields: { decision: 'reject' } },
  { person: 'dora', fields: { decision: 'reject' } },
)) as [VerifiedApproval, VerifiedApproval]

const kindOf = (approvals: readonly VerifiedApproval[], fields: Partial<WeighInput> = {}) =>
  weigh(weighing({ approvals, ...fields })).kind

/** The roster of another day: the epoch is the same, so that the statements still name it. */
function rosterWith(id: string, change: (person: Person) => Partial<Person>): Roster {
  const persons = roster.persons.map((person) =>
    person.id === id ? { ...person, ...change(person) } : person,
  )
  return { ...roster, persons }
}

/** A statement with any field changed, signed for real by whom it names. */
async function changed(change: Partial<Statement>, person = 'alice'): Promise<VerifiedApproval> {
  const statement = encodeStatement({ ...statementOf(matterOf(), signatoryOf(person)), ...change })
  const evidence = encodeEvidence(await didKeyEvidence(person, statement))
  return await verified({ statement, evidence })
}

describe('a quorum', () => {
  test('is met by two persons of two organisations', () => {
    expect(kindOf([alice, carol])).toBe('met')
  })

  test('is not met by nobody, by one, or by two of one organisation', () => {
    expect(kindOf([])).toBe('waiting')
    expect(kindOf([alice])).toBe('waiting')
    expect(kindOf([alice, bob])).toBe('waiting')
  })

  test('counts persons: a second credential, or the same approval again, adds nothing', () => {
    expect(kindOf([alice, alicePasskey])).toBe('waiting')
    expect(kindOf([alice, alice])).toBe('waiting')
    expect(kindOf([alicePasskey, carol])).toBe('met')
  })

  test('counts nobody who is no member of it, and no one who is no officer', () => {
    expect(kindOf([alice, dora])).toBe('waiting')
    expect(kindOf([alice, erin])).toBe('waiting')
  })

  test('says what is missing, for people', () => {
    const weighed = weigh(weighing({ approvals: [alice] }))
    if (weighed.kind !== 'waiting') throw new Error(weighed.kind)
    expect(weighed.missing.map(lackingText)).toEqual([
      '1 more of security: bob, carol',
      '1 more organisation',
    ])
  })

  test('that has no requirement at all is never met', () => {
    expect(kindOf([alice, carol], { requirements: [] })).toBe('waiting')
  })

  test('is met only when every rule that matched has its own', () => {
    const [move] = requirements
    const both = [
      move!,
      { ...move!, rule: 'OTHER', separate: null, quorum: { kind: 'person', id: 'dora' } as const },
    ]
    expect(kindOf([alice, carol], { requirements: both })).toBe('waiting')
    expect(kindOf([alice, carol, dora], { requirements: both })).toBe('met')
  })

  test('that asks for command lines counts those of persons, and passkeys not', () => {
    const [move] = requirements
    const cli = (count: number) => [{ ...move!, channel: { cli: count } }]
    expect(kindOf([alicePasskey, carol], { requirements: cli(1) })).toBe('met')
    expect(kindOf([alicePasskey, carol], { requirements: cli(2) })).toBe('waiting')
    expect(kindOf([alicePasskey, alice, carol], { requirements: cli(2) })).toBe('met')
  })
})

describe('who asked', () => {
  test('does not approve: an officer their own request', async () => {
    const requester = { kind: 'person', id: 'alice' } as const
    const matter = matterOf({ requester })
    const own = await changed({ requester: 'person:alice' })
    const other = await changed({ requester: 'person:alice' }, 'carol')
    const third = await changed({ requester: 'person:alice' }, 'bob')
    expect(kindOf([own, other], { matter })).toBe('waiting')
    expect(kindOf([own, other, third], { matter })).toBe('met')
  })

  test('does not approve: the operator of a program what it asks for', () => {
    const callers = [{ name: 'alpha', keys: ['pds'], operatedBy: ['alice'] }]
    expect(kindOf([alice, carol], { callers })).toBe('waiting')
    expect(kindOf([bob, carol], { callers })).toBe('met')
  })

  test('an officer with the name of a program is not that program', () => {
    const matter = matterOf({ requester: { kind: 'person', id: 'alpha' } })
    expect(kindOf([alice, carol], { matter })).toBe('waiting')
  })
})

/** One change of every field of a statement, each to something well-formed. */
const flips: Record<keyof Statement, Partial<Statement>> = {
  env: { env: 'prod' },
  audience: { audience: 'http://localhost:2591' },
  subject: { subject: 'ceremony' },
  request: { request: flipped(matterOf().request) },
  key: { key: dids.online2 },
  head: { head: OTHER_CID },
  nullifies: { nullifies: [OTHER_CID] },
  decision: { decision: 'reject' },
  person: { person: 'bob', credential: 'bob-cli' },
  credential: { credential: passkeyId('alice') },
  role: { role: 'operator' },
  requester: { requester: 'caller:emergency' },
  roster: { roster: { epoch: 1, digest: flipped(roster.digest) } },
  policy: { policy: { rules: ['MOVE'], digest: flipped(matterOf().policy.digest) } },
  notBefore: { notBefore: matterOf().terms.approveBy },
  approveBy: { approveBy: matterOf().terms.approveBy + 1 },
  executeBy: { executeBy: matterOf().terms.executeBy + 1 },
  nonce: { nonce: carol.statement.nonce },
  display: { display: flipped(alice.statement.display) },
}

function flipped(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes)
  copy[0]! ^= 1
  return copy
}

describe('an approval with another', () => {
  test.each(Object.keys(flips) as (keyof Statement)[])('%s counts for nothing', async (field) => {
    const change = flips[field]
    // The person who is named signs it; only with these fields is it still verifiable at all.
    const signer = change.person ?? 'alice'
    const approval = await changed(change, signer).catch(() => null)
    const approvals = approval === null ? [carol] : [approval, carol]
    // Bob is of Alice's organisation, so his approval would count: the field is who has agreed.
    const counts = field === 'person'
    expect(kindOf(approvals)).toBe(counts ? 'met' : field === 'decision' ? 'rejected' : 'waiting')
  })

  test('list of rules counts for nothing', async () => {
    const { digest } = matterOf().policy
    const approval = await changed({ policy: { rules: ['MOVE', 'OTHER'], digest } })
    expect(kindOf([approval, carol])).toBe('waiting')
  })

  test('whatever else the matter becomes, old approvals are void', () => {
    const terms = matterOf().terms
    const matters: Partial<Matter>[] = [
      { env: 'prod' },
      { audience: 'https://other.example' },
      { head: OTHER_CID },
      { nullifies: [OTHER_CID] },
      { policy: { ...matterOf().policy, digest: flipped(matterOf().policy.digest) } },
      { terms: { ...terms, approveBy: terms.approveBy + 60 } },
      { terms: { ...terms, executeBy: terms.executeBy + 60 } },
      { display: `${matterOf().display}.` },
      { request: flipped(matterOf().request) },
      { key: dids.online2 },
      { requester: { kind: 'caller', name: 'emergency' } },
    ]
    const kinds = matters.map((change) => kindOf([alice, carol], { matter: matterOf(change) }))
    expect(new Set(kinds)).toEqual(new Set(['waiting']))
  })
})

describe('an officer', () => {
  test('who was removed since has approved nothing', () => {
    const removed = rosterWith('alice', () => ({ status: 'removed', credentials: [] }))
    expect(kindOf([alice, carol], { roster: removed })).toBe('waiting')
    const gone = { ...roster, persons: roster.persons.filter(({ id }) => id !== 'alice') }
    expect(kindOf([alice, carol], { roster: gone })).toBe('waiting')
    expect(kindOf([alice, carol], { roster: null })).toBe('waiting')
  })

  test('who lost the role, or the credential, has approved nothing', () => {
    const demoted = rosterWith('alice', () => ({ roles: ['operator'] }))
    expect(kindOf([alice, carol], { roster: demoted })).toBe('waiting')
    const lost = rosterWith('alice', ({ credentials }) => ({
      credentials: credentials.filter(({ kind }) => kind === 'webauthn'),
    }))
    expect(kindOf([alice, carol], { roster: lost })).toBe('waiting')
    expect(kindOf([alicePasskey, carol], { roster: lost })).toBe('met')
  })

  test('whose credential has another key now has approved nothing', () => {
    const replaced = rosterWith('alice', ({ credentials }) => ({
      credentials: credentials.map((credential) =>
        credential.kind === 'did:key' ? { ...credential, did: dids.users } : credential,
      ),
    }))
    expect(kindOf([alice, carol], { roster: replaced })).toBe('waiting')
  })

  test('whose credential was not valid then, or is not now, has approved nothing', async () => {
    const until = (end: number) =>
      rosterWith('alice', ({ credentials }) => ({
        credentials: credentials.map((credential) => ({ ...credential, until: end })),
      }))
    const under = async (end: number) => {
      const given = until(end)
      return await verified(alice.raw, [given])
    }
    const now = seconds(AFTER_DELAY)
    expect(kindOf([await under(now + 1), carol])).toBe('met')
    expect(kindOf([await under(now), carol])).toBe('waiting')
    expect(kindOf([await under(SIGNED_AT), carol])).toBe('waiting')
  })
})

describe('a rejection', () => {
  test('wins in any order, over any number, by any officer', () => {
    expect(kindOf([noAlice])).toBe('rejected')
    expect(kindOf([alice, carol, noAlice])).toBe('rejected')
    expect(kindOf([noDora, alice, carol, bob])).toBe('rejected')
  })

  test('holds after its officer was removed, and after every expiry', () => {
    const removed = rosterWith('alice', () => ({ status: 'removed', credentials: [] }))
    const clocks = clocksAt(SIGNED_AT + 1_000_000)
    expect(kindOf([noAlice, bob, carol], { roster: removed, clocks })).toBe('rejected')
  })

  test('by somebody who is no officer is none', async () => {
    const no = await changed({ decision: 'reject', credential: 'erin-cli', person: 'erin' }, 'erin')
    expect(kindOf([no, alice, carol])).toBe('met')
  })

  test('of another request is none here', async () => {
    const other = await changed(
      { decision: 'reject', request: flipped(matterOf().request) },
      'dora',
    )
    const earlier = await changed(
      { decision: 'reject', approveBy: matterOf().terms.approveBy - 1 },
      'dora',
    )
    expect(kindOf([other, earlier, alice, carol])).toBe('met')
  })
})

describe('time', () => {
  const { approveBy } = matterOf().terms
  const at = (unix: number, approvals = [alice, carol]) =>
    kindOf(approvals, { clocks: clocksAt(unix) })

  test('nobody signs before the delay is over, or after the time for signing', () => {
    expect(at(SIGNED_AT + HOUR - 1)).toBe('delayed')
    expect(at(SIGNED_AT + HOUR)).toBe('met')
    expect(at(SIGNED_AT + 5 * HOUR - 1)).toBe('met')
    expect(at(SIGNED_AT + 5 * HOUR)).toBe('expired')
  })

  test('without a quorum there is an end, too', () => {
    expect(at(approveBy - 1, [alice])).toBe('waiting')
    expect(at(approveBy, [alice])).toBe('expired')
  })

  test('either clock ends it, and both must have reached its beginning', () => {
    const early = new Date((SIGNED_AT + HOUR - 1) * 1000)
    const right = new Date((SIGNED_AT + HOUR) * 1000)
    const late = new Date((SIGNED_AT + 5 * HOUR) * 1000)
    const of = (instance: Date, database: Date) =>
      kindOf([alice, carol], { clocks: { instance, database } })
    expect(of(right, right)).toBe('met')
    expect([of(early, right), of(right, early)]).toEqual(['delayed', 'delayed'])
    expect([of(late, right), of(right, late)]).toEqual(['expired', 'expired'])
  })

  test('an approval after the last moment, or from the future, is void', async () => {
    const late = await changed({ notBefore: approveBy })
    expect(at(approveBy + HOUR, [late, carol])).toBe('expired')
    const ahead = await changed({ notBefore: SIGNED_AT + 6 })
    expect(kindOf([ahead, carol], { clocks: clocksAt(SIGNED_AT) })).toBe('waiting')
    const [move] = requirements
    const matter = matterOf()
    const slightly = await changed({ notBefore: SIGNED_AT + 5 })
    expect(
      kindOf([slightly, carol], { matter, requirements: [move!], clocks: clocksAt(SIGNED_AT) }),
    ).toBe('delayed')
  })

  test('a nonce is used once', async () => {
    const copied = await changed({ nonce: carol.statement.nonce })
    expect(kindOf([copied, carol])).toBe('waiting')
  })

  test('the request was made at the beginning of it all', () => {
    expect(approveBy).toBe(seconds(NOW) + 24 * HOUR)
  })
})

describe('always', async () => {
  const pool = [
    alice,
    bob,
    carol,
    dora,
    erin,
    alicePasskey,
    ...(await approvalsOf(
      { person: 'bob', fields: { notBefore: SIGNED_AT + 600 } },
      { person: 'carol', fields: { notBefore: SIGNED_AT + 1200 } },
    )),
  ]
  const some = fc.subarray(pool)
  const moment = fc.integer({ min: SIGNED_AT + 1200, max: SIGNED_AT + 30 * HOUR })
  const permits = { rejected: 0, expired: 0, waiting: 0, delayed: 1, met: 2 }

  test('one more valid approval takes nothing away', () => {
    fc.assert(
      fc.property(some, fc.constantFrom(...pool), moment, (approvals, more, unix) => {
        const clocks = clocksAt(unix)
        const before = kindOf(approvals, { clocks })
        const after = kindOf([...approvals, more], { clocks })
        expect(permits[after]).toBeGreaterThanOrEqual(permits[before])
      }),
    )
  })

  test('the order of approvals changes nothing', () => {
    const all = [...pool, noDora]
    fc.assert(
      fc.property(fc.shuffledSubarray(all), moment, (approvals, unix) => {
        const clocks = clocksAt(unix)
        const sorted = [...approvals].sort((a, b) => all.indexOf(a) - all.indexOf(b))
        expect(weigh(weighing({ approvals, clocks }))).toEqual(
          weigh(weighing({ approvals: sorted, clocks })),
        )
      }),
    )
  })

  test('a second credential of the same person changes nothing', () => {
    fc.assert(
      fc.property(fc.subarray([alice, bob, carol, dora]), (approvals) => {
        const twice = approvals.includes(alice) ? [...approvals, alicePasskey] : approvals
        expect(kindOf(twice)).toBe(kindOf(approvals))
      }),
    )
  })
})
