import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { toConfig } from '../../src/config.ts'
import { openSealer, prepareDataDir } from '../../src/data-dir.ts'
import { openPolicies } from '../../src/development.ts'
import { verifyWithAtproto } from '../../src/ecdsa/atproto.ts'
import { verifyLog } from '../../src/plc/log.ts'
import { replaceKey } from '../support/pinned-key.ts'
import { openSoftHsm } from '../support/softhsm.ts'
import type { SoftHsm } from '../support/softhsm.ts'
import {
  createAccount,
  createAccountTwice,
  inParallel,
  signPlcOperation,
  submitPlcOperation,
  updateHandle,
} from './support/flows.ts'
import type { Account } from './support/flows.ts'
import { startHoldfast } from './support/holdfast.ts'
import type { Holdfast } from './support/holdfast.ts'
import { assertSoundLog, readAuditLog, readExport } from './support/oracle.ts'
import type { Pds } from './support/pds.ts'
import { assertOnRecord, readRecord } from './support/record.ts'
import { startStack } from './support/stack.ts'
import type { Stack } from './support/stack.ts'

// The stock PDS again, smaller: its rotation key is in SoftHSM2, made there by another program.

const COUNT = 20
const WIDTH = 4

let stack: Stack
let hsm: SoftHsm
let holdfast: Holdfast
let pds: Pds
let did: string
let accounts: Account[]

beforeAll(async () => {
  stack = await startStack()
  hsm = await openSoftHsm()
  stack.atEnd(() => hsm.close())
  did = await hsm.makeKey('pds', 'K-256')
  const dataDir = join(stack.dir, 'holdfast')
  await pinTokenKey(dataDir)
  holdfast = await startHoldfast({
    dataDir,
    plcUrl: stack.plc.url,
    logFile: join(stack.dir, 'holdfast.log'),
    env: hsm.environment,
  })
  stack.atEnd(() => holdfast.stop())
  pds = await stack.startPds(holdfast.pdsEnv)
})

afterAll(() => stack.stop())

async function pinTokenKey(dataDir: string): Promise<void> {
  const config = toConfig({ HOLDFAST_DATA_DIR: dataDir }, dataDir)
  await prepareDataDir(config)
  await openPolicies(config, await openSealer(config))
  await replaceKey(config, async () => ({ did, uri: hsm.uri('object=pds') }))
}

it(`${COUNT} accounts are created and their handles changed with a key in the token`, async () => {
  const created = await inParallel(COUNT, WIDTH, (index) => createAccount(pds, `user${index}`))
  accounts = await inParallel(COUNT, WIDTH, (index) =>
    updateHandle(pds, created[index]!, `new${index}`),
  )
  const entries = await readExport(stack.plc.url)
  expect(entries).toHaveLength(2 * COUNT)
  expect(entries.every(({ operation }) => JSON.stringify(operation).includes(did))).toBe(true)
})

it('an operation is signed with its e-mailed token and submitted', async () => {
  const [account] = accounts
  const operation = await signPlcOperation(pds, account!, {
    alsoKnownAs: [`at://${account!.handle}`, 'https://new0.test'],
  })
  await submitPlcOperation(pds, account!, operation)
  const log = await readAuditLog(stack.plc.url, account!.did)
  expect(log.map((entry) => entry.operation).at(-1)).toEqual(operation)
})

it('a sign-up that fails after its genesis was submitted is tombstoned', async () => {
  const { refused } = await createAccountTwice(pds, 'twin')
  expect(refused.status).toBe(500)
})

it('an operation that drops our key is denied, and the token is not asked', async () => {
  const used = await hsm.shim.count('C_Sign')
  const wish = { rotationKeys: ['did:key:zQ3shXGz9bgMurrofvVhawDcp1fsRwUuEZtVwULuHDk9mZWJW'] }
  await expect(signPlcOperation(pds, accounts[1]!, wish)).rejects.toThrow('PLC-ROTATION-KEEP-OURS')
  expect(await hsm.shim.count('C_Sign')).toBe(used)
})

it('sign-ups are refused while the token is away, and work again when it is back', async () => {
  await hsm.shim.set({ on: '*', action: 'fail', argument: 0xe0 })
  await expect(createAccount(pds, 'early')).rejects.toThrow('the key cannot be used now')
  await hsm.shim.set()
  for (let look = 0; !(await fetch(`${holdfast.url}/readyz`)).ok; look += 1) {
    if (look > 100) throw new Error('the service is not ready again')
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  expect(await createAccount(pds, 'early')).toMatchObject({ handle: 'early.test' })
})

it('every operation on the directory verifies, and each signature is on record, with no other', async () => {
  const entries = await readExport(stack.plc.url)
  const dids = [...new Set(entries.map((entry) => entry.did))]
  expect(dids).toHaveLength(COUNT + 3)
  await inParallel(dids.length, WIDTH, async (index) => {
    const log = await readAuditLog(stack.plc.url, dids[index]!)
    await verifyLog(dids[index]!, log, verifyWithAtproto)
    await assertSoundLog(dids[index]!, log)
  })
  const record = await readRecord(holdfast.dataDir)
  for (const entry of entries) assertOnRecord(record, entry)
  expect(record.produced).toHaveLength(entries.length)
})
