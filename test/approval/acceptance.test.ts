import { describe, expect, test } from 'vitest'
import type { Roster } from '../../src/policy/roster.ts'
import {
  acceptanceChallenge,
  acceptancePreimage,
  checkAcceptance,
  firstEpochLacks,
  parseAcceptance,
  renderAcceptance,
} from '../../src/approval/acceptance.ts'
import type { Acceptance } from '../../src/approval/acceptance.ts'
import { assertion, ORIGIN, roster } from './cases.ts'
import { keyNamed, p256KeyNamed, verify } from '../plc/build-log.ts'
import { NOW } from '../policy/cases.ts'
import { passkeyId } from '../policy/officers.ts'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

/** What `person` signs with the key of their command line. */
async function acceptanceOf(person: string, of: Roster = roster): Promise<Acceptance> {
  const member = { person, credential: `${person}-cli` }
  const signature = await (
    await keyNamed(`${person} cli`)
  ).sign(acceptancePreimage(of.digest, member))
  const text = renderAcceptance({
    roster: hex(of.digest),
    ...member,
    signature: Buffer.from(signature).toString('base64url'),
  })
  return parseAcceptance(text)
}

const alice = await acceptanceOf('alice')
const given = { roster, verify, at: NOW }
const officers = roster.persons.filter(({ roles }) => roles.includes('officer'))
const all = await Promise.all(officers.map(async ({ id }) => await acceptanceOf(id)))

describe('an acceptance', () => {
  test('is of a member who signed the whole epoch', async () => {
    await expect(checkAcceptance(alice, given)).resolves.toBeUndefined()
  })

  test.each([
    ['another roster', { roster: '00'.repeat(32) }, /another roster/],
    ['another person', { person: 'bob' }, /no such credential as alice-cli/],
    ['nobody', { person: 'nobody' }, /no such credential/],
    ['a credential of nobody', { credential: 'other' }, /no such credential as other/],
    ['a passkey', { credential: passkeyId('alice') }, /no such credential/],
    ["another member's key", { person: 'bob', credential: 'bob-cli' }, /does not hold/],
    ['another signature', { signature: 'A'.repeat(86) }, /does not hold/],
  ])('of %s is refused', async (_name, changes, reason) => {
    await expect(checkAcceptance({ ...alice, ...changes }, given)).rejects.toThrow(reason)
  })

  test.each([
    ['no JSON', 'hello'],
    ['a field more', JSON.stringify({ ...alice, note: 1 })],
    ['another format', JSON.stringify({ ...alice, format: 'holdfast/roster-acceptance/v2' })],
    ['a short signature', JSON.stringify({ ...alice, signature: 'AA' })],
    ['a digest in capitals', JSON.stringify({ ...alice, roster: alice.roster.toUpperCase() })],
  ])('that is %s is none', (_name, text) => {
    expect(() => parseAcceptance(text)).toThrow(/not an acceptance/)
  })
})

describe('an acceptance by passkey', () => {
  const member = { person: 'alice', credential: passkeyId('alice') }

  async function byPasskey(
    challenge: Uint8Array = acceptanceChallenge(roster.digest, member),
    origin = ORIGIN,
  ): Promise<Acceptance> {
    const signer = await p256KeyNamed('alice passkey')
    const evidence = await assertion(
      { statement: new Uint8Array(), signer, credentialId: member.credential },
      ({ client }) => {
        client['challenge'] = Buffer.from(challenge).toString('base64url')
        client['origin'] = origin
      },
    )
    const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url')
    const { clientDataJSON, authenticatorData, signature } = evidence
    const parts = { clientDataJSON, authenticatorData, signature }
    const parsed = Object.fromEntries(Object.entries(parts).map(([name, of]) => [name, text(of)]))
    const file = { ...member, roster: hex(roster.digest), assertion: parsed }
    return parseAcceptance(renderAcceptance(file as Parameters<typeof renderAcceptance>[0]))
  }

  test('is of a member who signed the whole epoch', async () => {
    await expect(checkAcceptance(await byPasskey(), given)).resolves.toBeUndefined()
    expect(firstEpochLacks(roster, [...all.slice(1), await byPasskey()])).toEqual([])
  })

  test('of another epoch, person or origin is refused', async () => {
    const other = acceptanceChallenge(new Uint8Array(32), member)
    await expect(checkAcceptance(await byPasskey(other), given)).rejects.toThrow(/challenge/)
    const bob = acceptanceChallenge(roster.digest, { ...member, person: 'bob' })
    await expect(checkAcceptance(await byPasskey(bob), given)).rejects.toThrow(/challenge/)
    const elsewhere = await byPasskey(undefined, 'https://evil.example')
    await expect(checkAcceptance(elsewhere, given)).rejects.toThrow(/origin/)
  })

  test('for a did:key is refused, and the other way round', async () => {
    const swapped = { ...(await byPasskey()), credential: 'alice-cli' }
    await expect(checkAcceptance(swapped, given)).rejects.toThrow(/no such credential/)
  })
})

test('nobody accepts by a credential whose time is over', async () => {
  const at = new Date('2036-01-01T00:00:00Z')
  await expect(checkAcceptance(alice, { ...given, at })).rejects.toThrow(/is over/)
  const before = new Date(at.getTime() - 1)
  await expect(checkAcceptance(alice, { ...given, at: before })).resolves.toBeUndefined()
})

describe('the first officers', () => {
  test('have all accepted', () => {
    expect(firstEpochLacks(roster, all)).toEqual([])
  })

  test('are named where they have not', () => {
    expect(firstEpochLacks(roster, all.slice(1))).toEqual(['alice has not accepted'])
  })

  test('are two persons, however often one of them signs', () => {
    const alone = { ...roster, persons: roster.persons.filter(({ id }) => id === 'alice') }
    expect(firstEpochLacks(alone, [alice, alice])).toEqual([
      'two officers at least must have accepted',
    ])
  })

  test.each([
    ['a removed one', { status: 'removed' as const }],
    ['somebody of another role', { roles: ['operator' as const] }],
  ])('are officers of today: %s is not the second', async (_name, changes) => {
    const two = roster.persons
      .filter(({ id }) => id === 'alice' || id === 'bob')
      .map((person) => (person.id === 'bob' ? { ...person, ...changes } : person))
    const accepted = [alice, await acceptanceOf('bob')]
    expect(firstEpochLacks({ ...roster, persons: two }, accepted)).toEqual([
      'two officers at least must have accepted',
    ])
  })

  test('each have something to accept with', () => {
    const only = roster.persons.map((person) =>
      person.id === 'carol' ? { ...person, credentials: [] } : person,
    )
    const others = all.filter(({ person }) => person !== 'carol')
    expect(firstEpochLacks({ ...roster, persons: only }, others)).toEqual([
      'carol has no credential, and cannot be one of the first',
    ])
  })

  test('are epoch 1', () => {
    expect(firstEpochLacks({ ...roster, epoch: 2 }, all)[0]).toMatch(/begins with epoch 1/)
  })
})
