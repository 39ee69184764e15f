import { rm } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { decodeStatement, encodeStatement } from '../../../src/approval/statement.ts'
import type { Statement } from '../../../src/approval/statement.ts'
import { encodeEvidence } from '../../../src/approval/evidence.ts'
import { decodeRoster, rosterBytes, withDigest } from '../../../src/policy/parse/roster.ts'
import type { Roster } from '../../../src/policy/roster.ts'
import { didKeyEvidence } from '../../approval/cases.ts'
import { approvedLog } from '../../support/approved-log.ts'
import { bodyOf, fieldsOf, runAuditVerify } from '../../support/audit-verify.ts'
import type { Fields } from '../../support/audit-verify.ts'
import { beginning, keepCheckpoint, logSigner, writeExport } from '../../support/exported-log.ts'

// What officers said, judged from the log alone: the log of a service whose officers really signed, and
// what somebody could make of it who holds the database, the checkpoint key and one officer's key.

const signer = logSigner()
const made: string[] = []
let entries: Fields[] = []
let kept = ''

beforeAll(async () => {
  const bodies = await approvedLog()
  const { at } = fieldsOf(bodies[0]!)
  entries = [beginning(signer, Number(at)), ...bodies].map(fieldsOf)
  kept = await keepCheckpoint(entries.slice(0, 3).map(bodyOf), signer)
})
afterAll(async () => {
  for (const dir of made) await rm(dir, { recursive: true })
})

async function judged(log: readonly Fields[]) {
  const dir = await writeExport(log.map(bodyOf), signer)
  made.push(dir)
  return await runAuditVerify(dir, '--checkpoint', kept)
}

const indexesOf = (kind: string) =>
  entries.flatMap((entry, index) => (entry['kind'] === kind ? [index] : []))

/** Intents that rest on what officers said: of the one that two agreed to, and of the one that waited. */
const agreedIntents = () =>
  indexesOf('signature.intended').filter((index) => entries[index]!['agreement'] !== null)

const change = (index: number, fields: Fields) =>
  entries.with(index, { ...entries[index]!, ...fields })

/** Officers' words, made anew by somebody with the key of that officer's command line. */
async function restated(index: number, fields: Partial<Statement>, by?: string): Promise<Fields> {
  const statement = decodeStatement(entries[index]!['statement'] as Uint8Array)
  const anew = encodeStatement({ ...statement, ...fields })
  const evidence = encodeEvidence(
    await didKeyEvidence(by ?? fields.person ?? statement.person, anew),
  )
  return { ...entries[index]!, statement: anew, evidence }
}

const [ALICE, ALICE_AGAIN, CAROL] = [0, 1, 2].map(
  (at) => () => indexesOf('approval.recorded')[at]!,
) as [() => number, () => number, () => number]

/** The officers that the log names, changed. */
function officers(alter: (roster: Roster) => Partial<Roster>): Fields {
  const [index] = indexesOf('roster.changed')
  const roster = decodeRoster(entries[index!]!['roster'] as Uint8Array)
  const next = withDigest({ ...roster, ...alter(roster) })
  return { ...entries[index!]!, digest: next.digest, roster: rosterBytes(next) }
}

const without = (person: string) => (roster: Roster) => ({
  epoch: roster.epoch + 1,
  previous: roster.digest,
  persons: roster.persons.map((one) =>
    one.id === person ? { ...one, status: 'removed' as const, credentials: [] } : one,
  ),
})

describe('a log of officers’ words', () => {
  test('holds each kind of them', () => {
    const kinds = new Set(entries.map(({ kind }) => kind))
    for (const kind of [
      'roster.changed',
      'approval.recorded',
      'rejection.recorded',
      'request.approved',
      'request.rejected',
      'request.superseded',
    ]) {
      expect(kinds).toContain(kind)
    }
    expect(agreedIntents()).toHaveLength(2)
  })

  test('is sound, passkeys and keys and the one who said it twice', async () => {
    expect(await judged(entries)).toMatchObject({ code: 0, text: expect.stringMatching(/^sound/) })
  })

  test('is sound when an officer leaves after it all', async () => {
    expect(
      await judged([...entries, { ...officers(without('carol')), at: entries.at(-1)!['at'] }]),
    ).toMatchObject({ code: 0 })
  })
})

type Forgery = () => Fields[] | Promise<Fields[]>

const forgeries: [string, Forgery, string][] = [
  [
    'an approval that is not there',
    () => entries.toSpliced(CAROL(), 1),
    'officers had not agreed: 1 more of security: bob, carol',
  ],
  [
    'one person for two',
    async () => entries.with(CAROL(), await restated(ALICE(), { nonce: new Uint8Array(16) })),
    'officers had not agreed: 1 more of security',
  ],
  [
    'two of one organisation',
    async () => entries.with(CAROL(), await restated(ALICE(), bob)),
    'officers had not agreed: 1 more organisation',
  ],
  [
    'an approval signed by another',
    async () => entries.with(CAROL(), await restated(ALICE(), bob, 'alice')),
    'the key is not the one of this credential',
  ],
  [
    'a signature over other words',
    () => change(CAROL(), { evidence: entries[ALICE()]!['evidence'] }),
    'the evidence is of another kind of credential',
  ],
  [
    'a key’s signature moved to other words of the same person',
    () => change(ALICE_AGAIN(), { evidence: entries[ALICE()]!['evidence'] }),
    'the signature is not of this key over this statement',
  ],
  [
    'words about another request',
    async () =>
      entries.with(ALICE_AGAIN(), await restated(ALICE_AGAIN(), { request: new Uint8Array(32) })),
    'counts for nothing: it is about something else',
  ],
  [
    'words to another service',
    async () =>
      entries.with(
        ALICE_AGAIN(),
        await restated(ALICE_AGAIN(), { audience: 'https://other.example' }),
      ),
    'alice: it is about something else',
  ],
  [
    'words under other rules',
    async () =>
      entries.with(
        ALICE_AGAIN(),
        await restated(ALICE_AGAIN(), {
          policy: { rules: ['GENESIS'], digest: new Uint8Array(32) },
        }),
      ),
    'counts for nothing: it is about something else',
  ],
  [
    'an approval made after its time',
    async () => {
      const { approveBy } = decodeStatement(entries[CAROL()]!['statement'] as Uint8Array)
      const late = await restated(CAROL(), { ...cli('carol'), notBefore: approveBy })
      return entries.with(CAROL(), late)
    },
    'counts for nothing: it was signed',
  ],
  [
    'a nonce that was used for something else',
    async () => {
      const { nonce } = decodeStatement(entries[ALICE()]!['statement'] as Uint8Array)
      return entries.with(CAROL(), await restated(CAROL(), { ...cli('carol'), nonce }))
    },
    'its nonce was used before',
  ],
  [
    'a rejection called an approval',
    () => change(indexesOf('rejection.recorded')[0]!, { kind: 'approval.recorded' }),
    'it says reject',
  ],
  [
    'a signature after a no',
    async () => {
      const no = await restated(ALICE(), { decision: 'reject', nonce: new Uint8Array(16) })
      return entries.toSpliced(agreedIntents()[0]! - 1, 0, { ...no, kind: 'rejection.recorded' })
    },
    'officers had not agreed: alice said no',
  ],
  [
    'an approval before anybody was asked',
    () => {
      const moved = entries.toSpliced(ALICE(), 1)
      return moved.toSpliced(ALICE() - 1, 0, {
        ...entries[ALICE()]!,
        at: moved[ALICE() - 1]!['at'],
      })
    },
    'nobody asks officers about its request (not there)',
  ],
  [
    'an approval after the signature',
    () => [...entries, { ...entries[CAROL()]!, at: entries.at(-1)!['at'] }],
    'nobody asks officers about its request (produced)',
  ],
  [
    'an agreement that waited less than its hour',
    async () => {
      const index = agreedIntents()[1]!
      const said = entries.findIndex(
        ({ kind, request }) =>
          kind === 'approval.recorded' && request === entries[index]!['request'],
      )
      const now = Math.floor(Number(entries[said]!['at']) / 1000)
      return entries.with(said, await restated(said, { notBefore: now }))
    },
    'officers had not agreed: not before',
  ],
  [
    'an intent that names no agreement',
    () => change(agreedIntents()[0]!, { agreement: null }),
    'it does not say that they did',
  ],
  [
    'an agreement where nobody was asked',
    () =>
      change(indexesOf('signature.intended')[0]!, {
        agreement: entries[agreedIntents()[0]!]!['agreement'],
      }),
    'it rests on an agreement that nobody was asked for',
  ],
  [
    'another name of the service',
    () => {
      const index = agreedIntents()[0]!
      const agreement = { ...(entries[index]!['agreement'] as Fields), audience: 'https://other' }
      return change(index, { agreement })
    },
    'officers had not agreed: 2 more of security',
  ],
  [
    'officers that are not in the log',
    () => entries.toSpliced(indexesOf('roster.changed')[0]!, 1),
    'it names officers that are not in the log before it',
  ],
  [
    'officers of another digest',
    () => change(indexesOf('roster.changed')[0]!, { digest: new Uint8Array(32) }),
    'the officers have another digest',
  ],
  [
    'bytes that are no officers',
    () => change(indexesOf('roster.changed')[0]!, { roster: new Uint8Array(3) }),
    'roster: not the canonical bytes of one',
  ],
  [
    'the approval of somebody who was removed meanwhile',
    () => {
      const intent = agreedIntents()[0]!
      const { at } = entries[intent - 1]!
      return entries.toSpliced(intent - 1, 0, { ...officers(without('carol')), at })
    },
    'other officers were asked than are in force',
  ],
  [
    'an approval under officers of the past',
    () => {
      const { at } = entries[CAROL()]!
      return entries.toSpliced(CAROL(), 0, { ...officers(without('dora')), at })
    },
    'it names officers that are not in force',
  ],
  [
    'an agreement that was not',
    () => entries.toSpliced(CAROL(), 0, { ...entries[indexesOf('request.approved')[0]!]! }),
    'what officers said does not come to that',
  ],
  [
    'a no that nobody said',
    () => entries.toSpliced(CAROL(), 0, { ...entries[CAROL() + 1]!, kind: 'request.rejected' }),
    'what officers said does not come to that',
  ],
  [
    'an end before its time',
    () => entries.toSpliced(CAROL(), 0, { ...entries[CAROL() + 1]!, kind: 'request.expired' }),
    'it ended before its time',
  ],
]

const cli = (person: string) => ({ person, credential: `${person}-cli` })
const bob = { ...cli('bob'), nonce: new Uint8Array(16) }

describe('whoever holds the database and the checkpoint key', () => {
  test.each(forgeries)('cannot make %s sound', async (_, forge, finding) => {
    const outcome = await judged(await forge())
    expect(outcome).toMatchObject({ code: 1, text: expect.stringContaining(finding) })
  })
})
