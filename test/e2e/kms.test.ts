import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { toConfig } from '../../src/config.ts'
import { openSealer, prepareDataDir } from '../../src/data-dir.ts'
import { openPolicies } from '../../src/development.ts'
import { verifyWithAtproto } from '../../src/ecdsa/atproto.ts'
import { verifyLog } from '../../src/plc/log.ts'
import { ADMIN, missingForKms, REGION, startKmsEmulator } from '../support/kms-emulator/emulator.ts'
import type { KmsKey } from '../support/kms-emulator/emulator.ts'
import { startKmsProxy } from '../support/kms-emulator/proxy.ts'
import type { KmsProxy } from '../support/kms-emulator/proxy.ts'
import { replaceKey } from '../support/pinned-key.ts'
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

// The stock PDS again, smaller: its rotation key is in AWS KMS, as an emulator of others has it.

const COUNT = 20
const WIDTH = 4

let stack: Stack
let proxy: KmsProxy
let holdfast: Holdfast
let pds: Pds
let key: KmsKey
let accounts: Account[]

const missing = missingForKms()

beforeAll(async () => {
  if (missing !== null) return
  stack = await startStack()
  const emulator = await startKmsEmulator()
  stack.atEnd(() => emulator.stop())
  proxy = await startKmsProxy(emulator)
  stack.atEnd(() => proxy.stop())
  key = await emulator.makeKey('K-256')
  const dataDir = join(stack.dir, 'holdfast')
  await pinKmsKey(dataDir)
  holdfast = await startHoldfast({
    dataDir,
    plcUrl: stack.plc.url,
    logFile: join(stack.dir, 'holdfast.log'),
    env: serviceEnv,
  })
  stack.atEnd(() => holdfast.stop())
  pds = await stack.startPds(holdfast.pdsEnv)
})

afterAll(async () => {
  if (missing === null) await stack.stop()
})

// AWS's credentials, and what was meant for the PDS: it must not lead the service to itself.
const serviceEnv = {
  AWS_ACCESS_KEY_ID: ADMIN.accessKeyId,
  AWS_SECRET_ACCESS_KEY: ADMIN.secretAccessKey,
  AWS_ENDPOINT_URL_KMS: 'http://127.0.0.1:1/kms',
  AWS_REGION: 'us-east-1',
}

async function pinKmsKey(dataDir: string): Promise<void> {
  const config = toConfig({ HOLDFAST_DATA_DIR: dataDir }, dataDir)
  await prepareDataDir(config)
  await openPolicies(config, await openSealer(config))
  const uri = `awskms:///${key.arn}?region=${REGION}&endpoint=${encodeURIComponent(proxy.url)}`
  await replaceKey(config, async () => ({ did: key.did, uri }))
}

describe.skipIf(missing !== null)(
  `with a key in AWS KMS (needs ${missing ?? 'nothing more'})`,
  () => {
    it(`${COUNT} accounts are created and their handles changed with it`, async () => {
      const created = await inParallel(COUNT, WIDTH, (index) => createAccount(pds, `user${index}`))
      accounts = await inParallel(COUNT, WIDTH, (index) =>
        updateHandle(pds, created[index]!, `new${index}`),
      )
      const entries = await readExport(stack.plc.url)
      expect(entries).toHaveLength(2 * COUNT)
      expect(entries.every(({ operation }) => JSON.stringify(operation).includes(key.did))).toBe(
        true,
      )
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

    it('an operation that drops our key is denied, and AWS is not asked', async () => {
      const used = proxy.signs()
      const wish = { rotationKeys: ['did:key:zQ3shXGz9bgMurrofvVhawDcp1fsRwUuEZtVwULuHDk9mZWJW'] }
      await expect(signPlcOperation(pds, accounts[1]!, wish)).rejects.toThrow(
        'PLC-ROTATION-KEEP-OURS',
      )
      expect(proxy.signs()).toBe(used)
    })

    it('a burst of throttling is not noticed; sign-ups fail while AWS denies, and work again', async () => {
      proxy.fault({ mode: 'answer', status: 400, type: 'ThrottlingException' }, { times: 3 })
      expect(await createAccount(pds, 'burst')).toMatchObject({ handle: 'burst.test' })
      const denied = { mode: 'answer', status: 400, type: 'AccessDeniedException' } as const
      proxy.fault(denied, { times: Number.POSITIVE_INFINITY })
      await expect(createAccount(pds, 'early')).rejects.toThrow('internal failure')
      proxy.heal()
      for (let look = 0; !(await fetch(`${holdfast.url}/readyz`)).ok; look += 1) {
        if (look > 100) throw new Error('the service is not ready again')
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
      expect(await createAccount(pds, 'early')).toMatchObject({ handle: 'early.test' })
    })

    it('every operation on the directory verifies, and each signature is on record, with no other', async () => {
      const entries = await readExport(stack.plc.url)
      const dids = [...new Set(entries.map((entry) => entry.did))]
      expect(dids).toHaveLength(COUNT + 4)
      await inParallel(dids.length, WIDTH, async (index) => {
        const log = await readAuditLog(stack.plc.url, dids[index]!)
        await verifyLog(dids[index]!, log, verifyWithAtproto)
        await assertSoundLog(dids[index]!, log)
      })
      const record = await readRecord(holdfast.dataDir)
      for (const entry of entries) assertOnRecord(record, entry)
      expect(record.produced).toHaveLength(entries.length)
    })
  },
)
