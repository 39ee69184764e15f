import { randomBytes } from 'node:crypto'
import { Secp256k1Keypair } from '@atproto/crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import {
  createAccount,
  createAccountTwice,
  inParallel,
  signPlcOperation,
  submitPlcOperation,
  updateHandle,
} from './support/flows.ts'
import { assertSoundLog, readAuditLog, readExport } from './support/oracle.ts'
import type { Pds } from './support/pds.ts'
import { startStack } from './support/stack.ts'
import type { Stack } from './support/stack.ts'

// The flows against a PDS that holds its key itself: what fails here is not Holdfast's doing.

let stack: Stack
let pds: Pds
let key: Secp256k1Keypair

beforeAll(async () => {
  const secret = randomBytes(32).toString('hex')
  key = await Secp256k1Keypair.import(secret)
  stack = await startStack()
  pds = await stack.startPds({ PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX: secret })
})

afterAll(() => stack.stop())

it('the PDS creates accounts and changes handles on the real PLC server', async () => {
  const accounts = await inParallel(4, 2, (index) => createAccount(pds, `plain${index}`))
  await inParallel(4, 2, (index) => updateHandle(pds, accounts[index]!, `changed${index}`))
  for (const { did } of accounts) {
    const log = await readAuditLog(stack.plc.url, did)
    await assertSoundLog(did, log)
    expect(log).toHaveLength(2)
  }
})

it('an operation signed with the e-mailed token is submitted', async () => {
  const account = await createAccount(pds, 'mailed')
  const operation = await signPlcOperation(pds, account, {
    alsoKnownAs: ['at://mailed.test', 'https://mailed.test'],
  })
  await submitPlcOperation(pds, account, operation)
  const log = await readAuditLog(stack.plc.url, account.did)
  await assertSoundLog(account.did, log)
  expect(log.at(-1)?.operation).toEqual(operation)
})

it('of two sign-ups with one address the loser is tombstoned by the PDS', async () => {
  const before = await readExport(stack.plc.url)
  const { account, refused } = await createAccountTwice(pds, 'twin')
  expect(refused.status).toBe(500)
  const added = (await readExport(stack.plc.url)).slice(before.length)
  expect(added.map((entry) => entry.operation.type).toSorted()).toEqual([
    'plc_operation',
    'plc_operation',
    'plc_tombstone',
  ])
  const loser = added.find((entry) => entry.operation.type === 'plc_tombstone')?.did ?? ''
  expect(loser).not.toBe(account.did)
  await assertSoundLog(loser, await readAuditLog(stack.plc.url, loser))
})

it('the oracle refuses a log with one character of a signature changed', async () => {
  const { did } = await createAccount(pds, 'forged')
  const log = await readAuditLog(stack.plc.url, did)
  const operation = log[0]!.operation
  const sig = operation.sig.startsWith('A')
    ? `B${operation.sig.slice(1)}`
    : `A${operation.sig.slice(1)}`
  const forged = [{ ...log[0]!, operation: { ...operation, sig } }]
  await expect(assertSoundLog(did, forged)).rejects.toThrow(/[Ss]ignature/)
})

it('the rotation key of a new account is the one in the environment', async () => {
  const { did } = await createAccount(pds, 'keyed')
  const [genesis] = await readAuditLog(stack.plc.url, did)
  expect(genesis?.operation).toMatchObject({ rotationKeys: [key.did()] })
})
