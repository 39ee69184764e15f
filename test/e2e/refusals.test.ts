import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { SignCommand } from '@aws-sdk/client-kms'
import { encode } from '@ipld/dag-cbor'
import { Secp256k1Keypair } from '@atproto/crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { withItem } from '../../src/development.ts'
import { kmsClient } from '../support/aws-client.ts'
import { XrpcError, createAccount, signPlcOperation, updateHandle } from './support/flows.ts'
import type { Account, Wish } from './support/flows.ts'
import { listRequests, startHoldfast } from './support/holdfast.ts'
import type { Holdfast } from './support/holdfast.ts'
import { assertSoundLog, readAuditLog } from './support/oracle.ts'
import type { Pds } from './support/pds.ts'
import { readRecord } from './support/record.ts'
import { startStack } from './support/stack.ts'
import type { Stack } from './support/stack.ts'

// What a user of the PDS, or whoever holds his session, may ask for and must not get.

let stack: Stack
let holdfast: Holdfast
let pds: Pds
let account: Account
let recoveryKey: string
let ourKey: string

beforeAll(async () => {
  recoveryKey = (await Secp256k1Keypair.create()).did()
  stack = await startStack()
  holdfast = await startWithRecoveryKey()
  stack.atEnd(() => holdfast.stop())
  pds = await stack.startPds(holdfast.pdsEnv)
  account = await createAccount(pds, 'target')
  const [genesis] = await readAuditLog(stack.plc.url, account.did)
  const { operation } = genesis!
  if (operation.type !== 'plc_operation') throw new Error(operation.type)
  ourKey = operation.rotationKeys[1]!
})

afterAll(() => stack.stop())

/** As an operator does it: the first start writes the files, the key is added, the second uses it. */
async function startWithRecoveryKey(): Promise<Holdfast> {
  const dataDir = join(stack.dir, 'holdfast')
  const options = { dataDir, plcUrl: stack.plc.url, logFile: join(stack.dir, 'holdfast.log') }
  await (await startHoldfast(options)).stop()
  const path = join(dataDir, 'policies', 'keys.yaml')
  const key = { id: 'recovery', class: 'recovery', curve: 'K-256', did: recoveryKey }
  await writeFile(path, withItem(await readFile(path, 'utf8'), key))
  return await startHoldfast({ ...options, logFile: join(stack.dir, 'holdfast-again.log') })
}

it('the recovery key is in the printed environment and above ours in a new account', async () => {
  expect(holdfast.pdsEnv['PDS_RECOVERY_DID_KEY']).toBe(recoveryKey)
  const [genesis] = await readAuditLog(stack.plc.url, account.did)
  expect(genesis?.operation).toMatchObject({ rotationKeys: [recoveryKey, ourKey] })
})

const cases: [name: string, wish: () => Wish, rule: string][] = [
  ['drops our key', () => ({ rotationKeys: [recoveryKey] }), 'PLC-ROTATION-KEEP-OURS'],
  ['empties rotationKeys', () => ({ rotationKeys: [] }), 'PLC-ROTATION-KEYS-EMPTY'],
  [
    'moves the recovery key below ours',
    () => ({ rotationKeys: [ourKey, recoveryKey] }),
    'PLC-ROTATION-RECOVERY-ABOVE',
  ],
]

it.each(cases)('an operation that %s is refused, and nothing is signed', async (_, wish, rule) => {
  const before = await readRecord(holdfast.dataDir)
  const refused = await signPlcOperation(pds, account, wish()).catch((error: unknown) => error)
  expect(refused).toBeInstanceOf(XrpcError)
  expect(refused).toMatchObject({ status: 500 })
  expect(String(refused)).toContain(rule)

  const [denied] = await listRequests(holdfast, 'denied')
  expect(denied).toMatchObject({ did: account.did, signature: null })
  expect(denied?.rules).toContain(rule)
  const after = await readRecord(holdfast.dataDir)
  expect(after.requests.get(denied!.id)).toMatchObject({ state: 'denied', signature: null })
  expect(after.intended).toEqual(before.intended)
  expect(after.produced).toEqual(before.produced)
})

it.each(cases)(
  'asked for at the door itself, one that %s gets 400 and the rule',
  async (_, wish, rule) => {
    const [genesis] = await readAuditLog(stack.plc.url, account.did)
    const { sig: _sig, ...unsigned } = genesis!.operation
    const message = encode({ ...unsigned, ...wish(), prev: genesis!.cid })
    const door = kmsClient(holdfast.pdsEnv['AWS_ENDPOINT_URL_KMS'] ?? '', {
      accessKeyId: holdfast.pdsEnv['AWS_ACCESS_KEY_ID'] ?? '',
      secretAccessKey: holdfast.pdsEnv['AWS_SECRET_ACCESS_KEY'] ?? '',
    })
    const asked = door.send(
      new SignCommand({ KeyId: 'pds', Message: message, SigningAlgorithm: 'ECDSA_SHA_256' }),
    )
    await expect(asked).rejects.toMatchObject({
      name: 'AccessDeniedException',
      message: expect.stringContaining(rule),
      $metadata: { httpStatusCode: 400, attempts: 1 },
    })
  },
)

it('after all that the identity is as it was, and an honest change is signed', async () => {
  expect(await readAuditLog(stack.plc.url, account.did)).toHaveLength(1)
  await updateHandle(pds, account, 'honest')
  const log = await readAuditLog(stack.plc.url, account.did)
  await assertSoundLog(account.did, log)
  expect(log).toHaveLength(2)
})

it('a user may leave for another PDS, with keys of their own and of the new one', async () => {
  const leaver = await createAccount(pds, 'leaver')
  const [theirs, newPds, repo] = await Promise.all([1, 2, 3].map(() => Secp256k1Keypair.create()))
  const operation = await signPlcOperation(pds, leaver, {
    rotationKeys: [theirs!.did(), newPds!.did()],
    verificationMethods: { atproto: repo!.did() },
    services: { atproto_pds: { type: 'AtprotoPersonalDataServer', endpoint: 'https://new.test' } },
  })
  // as a migrating user does: their old PDS would refuse to submit what names another one
  const submitted = await fetch(`${stack.plc.url}/${leaver.did}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(operation),
  })
  expect(submitted.status).toBe(200)
  await assertSoundLog(leaver.did, await readAuditLog(stack.plc.url, leaver.did))
})
