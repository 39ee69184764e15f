import { describe, expect, test } from 'vitest'
import { openVerifier } from '../../src/ecdsa/native.ts'
import { diffOperation } from '../../src/plc/diff.ts'
import { judgeAccount } from '../../src/recovery/derive.ts'
import type { DerivedOperation, Remark } from '../../src/recovery/derive.ts'
import type { Exclusion } from '../../src/recovery/intent.ts'
import { createLogMaker } from '../support/generate-logs.ts'
import { logOf, makeAccount, next, recoveryKeys } from '../support/recovery.ts'
import type { AccountKind } from '../support/recovery.ts'

const keys = await recoveryKeys()
const { verify } = openVerifier()
const named = { lost: keys.lost.did, recovery: keys.recovery.did, did: keys.replacement.did }

async function judged(kind: AccountKind) {
  return await judgeAccount(await makeAccount(kind, 1, keys), named, verify)
}

async function derived(kind: AccountKind): Promise<DerivedOperation> {
  const found = await judged(kind)
  if (found.kind !== 'operation') throw new Error(`excluded: ${found.reason} ${found.detail}`)
  return found
}

const [lost, recovery, fresh, user] = [
  keys.lost.did,
  keys.recovery.did,
  keys.replacement.did,
  keys.user.did,
]

describe('the new key takes the place of the lost one, and nothing else changes', () => {
  test.each([
    ['plain', [recovery, fresh], []],
    ['renamed', [recovery, fresh], []],
    ['user-above', [user, recovery, fresh], ['key-above-recovery', 'other-key']],
    ['user-below', [recovery, fresh, user], ['other-key']],
    ['recovery-below', [fresh, recovery], ['recovery-below-server']],
    ['legacy', [recovery, fresh], ['legacy']],
  ] as [AccountKind, string[], Remark[]][])('of an account that is %s', async (kind, after, of) => {
    const { operation, previous, remarks } = await derived(kind)
    expect(operation.rotationKeys).toEqual(after)
    expect(remarks).toEqual(of)
    const index = after.indexOf(fresh)
    expect(diffOperation(previous, operation)).toEqual([
      { kind: 'rotationKeys.remove', index, value: lost },
      { kind: 'rotationKeys.add', index, value: fresh },
    ])
  })

  test('it follows the head: the handle that was changed last is the one that stays', async () => {
    const { operation } = await derived('renamed')
    expect(operation.alsoKnownAs).toEqual(['at://new1.example.com'])
  })

  test('a list that has the new key already only loses the old one', async () => {
    const { did, log } = await (
      await logOf(await genesisWith([recovery, fresh, lost]))
    ).by(keys.lost)
    const found = await judgeAccount({ did, log }, named, verify)
    expect(found).toMatchObject({ operation: { rotationKeys: [recovery, fresh] } })
  })

  test('a lost key that is listed twice is replaced once', async () => {
    const { did, log } = await (
      await logOf(await genesisWith([recovery, lost, lost]))
    ).by(keys.lost)
    const found = await judgeAccount({ did, log }, named, verify)
    expect(found).toMatchObject({
      operation: { rotationKeys: [recovery, fresh] },
      remarks: ['key-repeated'],
    })
  })
})

async function genesisWith(rotationKeys: string[]) {
  const { operation } = await derived('plain')
  return { ...operation, rotationKeys, prev: null }
}

describe('an account gets nothing', () => {
  test.each([
    ['tombstoned', 'tombstoned'],
    ['no-recovery', 'recovery-key-not-listed'],
    ['moved', 'lost-key-not-listed'],
    ['replaced', 'already-replaced'],
    ['invalid', 'invalid-log'],
    ['not-registered', 'not-registered'],
    ['unread', 'unread'],
  ] as [AccountKind, Exclusion][])('that is %s: %s', async (kind, reason) => {
    expect(await judged(kind)).toMatchObject({ kind: 'excluded', reason })
  })

  test('whose operation would break a limit of the directory: the rule is named', async () => {
    const alsoKnownAs = Array.from({ length: 12 }, (_, index) => `at://name${index}.example.com`)
    const first = { ...(await genesisWith([recovery, lost])), alsoKnownAs }
    const { did, log } = await (await logOf(first)).by(keys.lost)
    const found = await judgeAccount({ did, log }, named, verify)
    expect(found).toMatchObject({ kind: 'excluded', reason: 'limits' })
    expect(found).toHaveProperty('detail', expect.stringContaining('PLC-ALSO-KNOWN-AS-LIMIT'))
  })

  test('whose log is another account’s', async () => {
    const [one, two] = [await makeAccount('plain', 1, keys), await makeAccount('plain', 2, keys)]
    if (!('log' in two)) throw new Error('no log')
    const found = await judgeAccount({ did: one.did, log: two.log }, named, verify)
    expect(found).toMatchObject({ kind: 'excluded', reason: 'invalid-log' })
  })
})

test('a log of another server is not touched', async () => {
  const { make } = await createLogMaker('another')
  const log = await make(1)
  const found = await judgeAccount({ did: log[0]!.did, log }, named, verify)
  expect(found).toMatchObject({ kind: 'excluded', reason: 'lost-key-not-listed' })
})

test('whoever added the recovery key later than the genesis is saved like the others', async () => {
  const first = await genesisWith([lost])
  const change = next({ rotationKeys: [recovery, lost] })
  const { did, log } = await (await logOf(first, { by: keys.lost, change })).by(keys.lost)
  const found = await judgeAccount({ did, log }, named, verify)
  expect(found).toMatchObject({ operation: { rotationKeys: [recovery, fresh], prev: log[1]!.cid } })
})
