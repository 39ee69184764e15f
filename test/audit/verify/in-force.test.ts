import { describe, expect, test } from 'vitest'
import { actMatter } from '../../../src/approval/act.ts'
import { changeAct, proposeChange, renderChangeRequest } from '../../../src/approval/change.ts'
import type { AuditEntry } from '../../../src/audit/entry.ts'
import { createInForce } from '../../../src/audit/verify/in-force.ts'
import { policySetBytes, policySetDigest } from '../../../src/policy/canonical.ts'
import { parsePolicySet } from '../../../src/policy/parse.ts'
import { rosterBytes, withDigest } from '../../../src/policy/parse/roster.ts'
import type { PolicySet } from '../../../src/policy/policy-set.ts'
import type { Roster } from '../../../src/policy/roster.ts'
import { acceptancePreimage, renderAcceptance } from '../../../src/approval/acceptance.ts'
import { keyNamed, verify } from '../../plc/build-log.ts'
import { NOW, rule } from '../../policy/cases.ts'
import { officerFiles } from '../../policy/officers.ts'
import { cliApproval } from '../../approval/cases.ts'

// What the log says is in force, and who may put it there.

const prod = (text: string) => text.replace('env: dev', 'env: prod')
const one = parsePolicySet({
  ...officerFiles,
  policy: prod(officerFiles.policy),
  roster: prod(officerFiles.roster),
})
const first = one.roster!
const withRules = (set: PolicySet): PolicySet => {
  const changed = { ...set, rules: [...set.rules, rule('MORE')] }
  return { ...changed, digest: policySetDigest(changed) }
}
const two = withRules(one)
/** Erin has one more role. */
const second = withDigest({
  ...first,
  epoch: 2,
  previous: first.digest,
  persons: first.persons.map((person) =>
    person.id === 'erin' ? { ...person, roles: ['custodian'] } : person,
  ),
})

type Entry = Extract<
  AuditEntry,
  { kind: 'policy.changed' | 'roster.changed' | 'roster.accepted' | 'trust.changed' }
>
type Agreed = Extract<AuditEntry, { kind: 'trust.changed' }>['agreed']

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
  fields: { roster?: Roster | null; by?: 'operator' | 'officers'; agreed?: Agreed } = {},
): Entry => {
  const { roster = null, by = 'operator', agreed = null } = fields
  return { kind: 'trust.changed', sequence, policies: set.digest, roster, by, agreed }
}

async function accepted(person: string, roster: Roster): Promise<Entry> {
  const member = { person, credential: `${person}-cli` }
  const key = await keyNamed(`${person} cli`)
  const signature = await key.sign(acceptancePreimage(roster.digest, member))
  const text = renderAcceptance({
    roster: Buffer.from(roster.digest).toString('hex'),
    ...member,
    signature: Buffer.from(signature).toString('base64url'),
  })
  const document = new Uint8Array(Buffer.from(text))
  return { kind: 'roster.accepted', digest: roster.digest, document }
}

const firstAccepted = await Promise.all(
  ['alice', 'bob', 'carol', 'dora'].map(async (person) => await accepted(person, first)),
)
/** A log that begins with these officers. */
const begun = [
  put(1, one, { roster: first, by: 'officers' }),
  ...firstAccepted,
  policies(one),
  officers(first),
]

/** What officers of the first epoch approved of it; Carol asked for it an hour ago. */
async function agreedTo(
  to: PolicySet,
  { by = ['alice', 'bob', 'dora'], sequence = 2 }: { by?: string[]; sequence?: number } = {},
): Promise<NonNullable<Agreed>> {
  const { request } = proposeChange({
    from: one,
    to,
    audience: 'https://host.example.com',
    made: new Date(NOW.getTime() - 3_600_000),
    proposer: 'carol',
    sequence,
  })
  const matter = actMatter(changeAct(request), one)!
  const fields = { notBefore: Math.floor(NOW.getTime() / 1000), roster: first }
  const approvals = await Promise.all(
    by.map(async (person) => await cliApproval(person, { matter, fields })),
  )
  return { request: renderChangeRequest(request), approvals }
}

async function told(...entries: Entry[]): Promise<string[]> {
  const inForce = createInForce(verify)
  const said: string[] = []
  const say = (text: string) => said.push(text)
  for (const entry of entries) {
    if (entry.kind === 'policy.changed') inForce.takePolicies(entry, say)
    else if (entry.kind === 'trust.changed') await inForce.takeTrust(entry, NOW.getTime(), say)
    else if (entry.kind === 'roster.accepted') inForce.takeAccepted(entry, NOW.getTime())
    else await inForce.takeRoster(entry, say)
  }
  // As where a key is used.
  await inForce.settle(say)
  return said
}

describe('in production', () => {
  const none = { ...one, roster: null }

  test('what was put in force may be in force, and once more after a crash', async () => {
    expect(
      await told(put(1, none), policies(one), put(2, two), put(2, two), policies(two)),
    ).toEqual([])
    expect(await told(...begun)).toEqual([])
  })

  test('other policies than were put there are found', async () => {
    expect(await told(put(1, one), policies(two))).toEqual([
      'these policies are not what was put in force',
    ])
  })

  test('other officers than were put there are found', async () => {
    expect(await told(...begun, officers(second))).toEqual([
      'these officers are not who was put in force',
    ])
  })

  test('no change is left out', async () => {
    expect(await told(put(1, one), policies(one), put(3, two))).toEqual([
      'change 3 of what is in force comes after change 1',
    ])
  })

  test('what a service recorded before anything was put in force is no change of it', async () => {
    const { digest: _, ...draft } = { ...first, rp: second.rp, persons: first.persons.slice(0, 4) }
    const recorded = [policies(two), officers(withDigest(draft)), policies(one), officers(first)]
    const init = [put(1, one, { roster: first, by: 'officers' }), ...firstAccepted]
    expect(await told(...recorded, ...init)).toEqual([])
    // Who died before the record was changed has it written once more.
    expect(await told(...recorded, ...init, ...init)).toEqual([])
    expect(await told(...recorded, ...init.toSpliced(1, 1))).toEqual(['alice has not accepted'])
  })

  test('the first officers have all accepted', async () => {
    const [log, rest] = [begun.toSpliced(2, 1), begun.toSpliced(1, 3)]
    expect(await told(...log)).toEqual(['bob has not accepted'])
    expect(await told(...rest)).toContain('two officers at least must have accepted')
  })
})

describe('where officers decide', () => {
  const officially = async (to: PolicySet, agreed: Agreed, sequence = 2) =>
    await told(...begun, put(sequence, to, { roster: to.roster, by: 'officers', agreed }))

  test('an operator puts nothing in force', async () => {
    expect(await told(...begun, put(2, two, { roster: first }))).toEqual([
      'where there are officers, nothing is put in force by the word of an operator',
    ])
  })

  test('other policies are in force by the word of enough of them', async () => {
    const agreed = await agreedTo(two)
    expect(await officially(two, agreed)).toEqual([])
    expect(
      await told(...begun, put(2, two, { roster: first, by: 'officers', agreed }), policies(two)),
    ).toEqual([])
  })

  test('other officers are in force by the word of those before', async () => {
    const to = { ...one, roster: second }
    const agreed = await agreedTo(to)
    expect(
      await told(
        ...begun,
        put(2, one, { roster: second, by: 'officers', agreed }),
        officers(second),
      ),
    ).toEqual([])
  })

  test.each<[string, () => Promise<Agreed>, RegExp]>([
    ['nobody’s', async () => null, /does not say what the officers agreed to/],
    ['too few', async () => await agreedTo(two, { by: ['alice', 'dora'] }), /1 more of security/],
    ['another set', async () => await agreedTo(withRules(two)), /agreed to something else/],
    [
      'another change',
      async () => await agreedTo(two, { sequence: 3 }),
      /agreed to something else/,
    ],
    [
      'other bytes',
      async () => {
        const { request, approvals } = await agreedTo(two)
        return { request: request.replace('"carol"', '"alice"'), approvals }
      },
      /about something else|asked for this/,
    ],
    [
      'no request',
      async () => ({ ...(await agreedTo(two)), request: '{}' }),
      /not written as a request/,
    ],
  ])('the word of %s does not count', async (_name, agreed, says) => {
    expect(await officially(two, await agreed())).toEqual([expect.stringMatching(says)])
  })

  test('who comes in must have accepted', async () => {
    const zoe = {
      id: 'zoe',
      org: 'acme',
      roles: ['officer' as const],
      status: 'active' as const,
      credentials: [
        {
          kind: 'did:key' as const,
          id: 'zoe-cli',
          did: (await keyNamed('zoe cli')).did(),
          from: 0,
          until: 9_999_999_999,
        },
      ],
    }
    const third = withDigest({ ...second, persons: [...first.persons, zoe] })
    const agreed = await agreedTo({ ...one, roster: third })
    const log = [...begun, put(2, one, { roster: third, by: 'officers', agreed })]
    expect(await told(...log, officers(third))).toEqual(['zoe has not accepted with zoe-cli'])
    expect(await told(...log, await accepted('zoe', third), officers(third))).toEqual([])
  })

  test('an epoch that does not follow is found', async () => {
    const gap = withDigest({ ...second, epoch: 3 })
    const agreed = await agreedTo({ ...one, roster: gap })
    const log = [...begun, put(2, one, { roster: gap, by: 'officers', agreed })]
    expect(await told(...log, officers(gap))).toEqual(['epoch 3 cannot follow 1'])
  })
})

test('a development instance takes its own files', async () => {
  const dev = parsePolicySet(officerFiles)
  expect(await told(policies(dev), put(4, dev), policies(withRules(dev)))).toEqual([])
})
