import { describe, expect, test } from 'vitest'
import type { Roster } from '../../src/policy/roster.ts'
import {
  acceptancePreimage,
  checkAcceptance,
  firstEpochLacks,
  parseAcceptance,
  renderAcceptance,
} from '../../src/trust/acceptance.ts'
import type { Acceptance } from '../../src/trust/acceptance.ts'
import { roster } from '../approval/cases.ts'
import { keyNamed, verify } from '../plc/build-log.ts'
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
const officers = roster.persons.filter(({ roles }) => roles.includes('officer'))
const all = await Promise.all(officers.map(async ({ id }) => await acceptanceOf(id)))

describe('an acceptance', () => {
  test('is of a member who signed the whole epoch', async () => {
    await expect(checkAcceptance(alice, roster, verify)).resolves.toBeUndefined()
  })

  test.each([
    ['another roster', { roster: '00'.repeat(32) }, /another roster/],
    ['another person', { person: 'bob' }, /no did:key called alice-cli/],
    ['nobody', { person: 'nobody' }, /no did:key/],
    ['a credential of nobody', { credential: 'other' }, /no did:key called other/],
    ['a passkey', { credential: passkeyId('alice') }, /no did:key/],
    ["another member's key", { person: 'bob', credential: 'bob-cli' }, /does not hold/],
    ['another signature', { signature: 'A'.repeat(86) }, /does not hold/],
  ])('of %s is refused', async (_name, changes, reason) => {
    await expect(checkAcceptance({ ...alice, ...changes }, roster, verify)).rejects.toThrow(reason)
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

  test('each have a did:key to accept with', () => {
    const only = roster.persons.map((person) =>
      person.id === 'carol'
        ? {
            ...person,
            credentials: person.credentials.filter(({ kind }) => kind === 'webauthn'),
          }
        : person,
    )
    const others = all.filter(({ person }) => person !== 'carol')
    expect(firstEpochLacks({ ...roster, persons: only }, others)).toEqual([
      'carol has no did:key, and cannot be one of the first',
    ])
  })

  test('are epoch 1', () => {
    expect(firstEpochLacks({ ...roster, epoch: 2 }, all)[0]).toMatch(/begins with epoch 1/)
  })
})
