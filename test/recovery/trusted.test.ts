import { randomBytes } from 'node:crypto'
import { beforeAll, describe, expect, test } from 'vitest'
import { encodeEvidence } from '../../src/approval/evidence.ts'
import { statementOf } from '../../src/approval/matter.ts'
import type { Signatory } from '../../src/approval/matter.ts'
import { encodeStatement, preimageOf } from '../../src/approval/statement.ts'
import { verifyApproval } from '../../src/approval/verify.ts'
import type { VerifiedApproval } from '../../src/approval/verify.ts'
import { parseTrustCard } from '../../src/audit/trust-card.ts'
import { openVerifier } from '../../src/ecdsa/native.ts'
import { policySetBytes } from '../../src/policy/canonical.ts'
import { rosterBytes } from '../../src/policy/parse/roster.ts'
import { parsePolicySet } from '../../src/policy/parse.ts'
import type { PolicySet } from '../../src/policy/policy-set.ts'
import { readPolicyFiles } from '../../src/policy-files.ts'
import type { Intent } from '../../src/recovery/intent.ts'
import {
  approveIntent,
  ceremonyMatter,
  checkOperators,
  trustIntent,
} from '../../src/recovery/trusted.ts'
import type { TrustedIntent } from '../../src/recovery/trusted.ts'
import { fastKey } from '../support/generate-logs.ts'
import { cardOf, purposeOf, recoveryKeys } from '../support/recovery.ts'

// The examples' sets as they are shipped, with officers whose private keys the test has.

const { verify } = openVerifier()
const keys = await recoveryKeys()
const MADE = new Date('2026-11-01T12:00:00.000Z')
const after = (minutes: number) => new Date(MADE.getTime() + minutes * 60_000)

async function setOf(example: string): Promise<PolicySet> {
  const files = await readPolicyFiles(`policies/examples/${example}`)
  if (files.roster === undefined) return parsePolicySet(files)
  let { roster } = files
  for (const [, id] of roster.matchAll(/^ {2}- id: (\S+)$/gm)) {
    const { did } = await fastKey(`officer ${id}`)
    roster = roster.replace(new RegExp(`(id: ${id}-cli\\s+did: )\\S+`), `$1${did}`)
  }
  return parsePolicySet({ ...files, roster })
}

function trustedOf(policies: PolicySet, fields: Partial<Intent> = {}): TrustedIntent {
  const zero = { count: 0, sha256: '0'.repeat(64) }
  const intent = {
    format: 'holdfast/recovery-intent/v1',
    ...purposeOf(keys, policies, { made: MADE.toISOString(), planner: 'carol', ...fields }),
    accounts: zero,
    evidence: { bytes: 0, sha256: zero.sha256 },
    operations: zero,
    excluded: {},
    proof: '',
  } as unknown as Intent
  const roster = policies.roster === null ? null : new Uint8Array(rosterBytes(policies.roster))
  return trustIntent(intent, parseTrustCard(cardOf(intent)), {
    policies: policySetBytes(policies),
    roster,
  })
}

async function approvalOf(
  trusted: TrustedIntent,
  person: string,
  fields: Partial<Signatory> = {},
): Promise<VerifiedApproval> {
  const { roster } = trusted
  const matter = ceremonyMatter(trusted)
  if (roster === null || matter === null) throw new Error('nobody is asked')
  const statement = encodeStatement(
    statementOf(matter, {
      decision: 'approve',
      person,
      credential: `${person}-cli`,
      role: 'officer',
      notBefore: Math.floor(after(5).getTime() / 1_000),
      nonce: Uint8Array.from(randomBytes(16)),
      roster,
      ...fields,
    }),
  )
  const key = await fastKey(`officer ${person}`)
  const signature = await key.sign(preimageOf(statement))
  const evidence = encodeEvidence({ kind: 'did:key', did: key.did, signature })
  return await verifyApproval({ raw: { statement, evidence }, rosters: [roster], verify })
}

const approve = (trusted: TrustedIntent, approvals: VerifiedApproval[], now = after(10)) =>
  approveIntent(trusted, { approvals, now })

describe('three people, of whom carol planned it', () => {
  let trusted: TrustedIntent
  let alice: VerifiedApproval
  let bob: VerifiedApproval
  beforeAll(async () => {
    trusted = trustedOf(await setOf('three-people'))
    alice = await approvalOf(trusted, 'alice')
    bob = await approvalOf(trusted, 'bob')
  })

  test('the other two are enough', () => {
    expect(approve(trusted, [alice, bob])).toMatchObject({
      rules: ['RECOVERY'],
      approvers: ['alice', 'bob'],
    })
  })

  test('one is not, and the missing one is named', () => {
    expect(() => approve(trusted, [alice])).toThrow(/missing: .*bob/)
  })

  test('one person twice is one person', async () => {
    const again = await approvalOf(trusted, 'alice')
    expect(() => approve(trusted, [alice, again])).toThrow(/missing/)
  })

  test('who planned it does not count', async () => {
    const carol = await approvalOf(trusted, 'carol')
    expect(() => approve(trusted, [alice, carol])).toThrow(/carol: its signer asked for this/)
  })

  test('an approval of another intent counts for nothing', async () => {
    const other = trustedOf(await setOf('three-people'), { ceremony: 'f'.repeat(32) })
    expect(() => approve(trusted, [alice, bob, alice].slice(0, 1))).toThrow(/missing/)
    const stray = await approvalOf(other, 'bob')
    expect(() => approve(trusted, [alice, stray])).toThrow(/bob: it is about something else/)
  })

  test('a rejection wins', async () => {
    const no = await approvalOf(trusted, 'bob', { decision: 'reject' })
    expect(() => approve(trusted, [alice, bob, no])).toThrow('bob has rejected it')
  })

  test('after its time it is over, by the clock of the room', () => {
    expect(() => approve(trusted, [alice, bob], after(60 * 48))).toThrow(/its time is over/)
  })

  test('the policies say that who approved may operate: one of them, and a known one', () => {
    const approved = approve(trusted, [alice, bob])
    expect(() => checkOperators(approved, ['alice'])).not.toThrow()
    expect(() => checkOperators(approved, [])).toThrow('it needs 1 different operators')
    expect(() => checkOperators(approved, ['mallory'])).toThrow('"mallory" is no operator')
  })

  test('a plan that names nobody who asks is refused', async () => {
    const nobody = trustedOf(await setOf('three-people'), { planner: null })
    expect(() => approve(nobody, [])).toThrow('nobody is named who asks')
  })
})

test('the examples without officers, and the shipped set, ask nobody and name no operator', async () => {
  const trusted = trustedOf(await setOf('solo'), { planner: null })
  const approved = approve(trusted, [])
  expect(approved).toMatchObject({ rules: ['CEREMONY'], approvers: [] })
  expect(() => checkOperators(approved, [])).not.toThrow()
  expect(() => checkOperators(approved, ['alice'])).toThrow('there are no officers')
})

test('policies that allow no ceremony are named as such', async () => {
  const solo = await readPolicyFiles('policies/examples/solo')
  const policy = solo.policy.replace(/ {2}- \{ id: CEREMONY.*\n/, '')
  const trusted = trustedOf(parsePolicySet({ ...solo, policy }), { planner: null })
  expect(() => approve(trusted, [])).toThrow('the policies allow no such ceremony')
})

test('where approvers and operators are kept apart, an approver does not operate', async () => {
  const trusted = trustedOf(await setOf('organisation'), { planner: null })
  const { roster } = trusted
  const operators = (roster?.persons ?? []).filter(({ roles }) => roles.includes('operator'))
  const approved = { trusted, rules: [], approvers: [operators[0]?.id] } as never
  const ids = operators.slice(0, 2).map(({ id }) => id)
  expect(() => checkOperators(approved, ids)).toThrow('who approves does not operate')
})
