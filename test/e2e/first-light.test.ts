import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { verifyWithAtproto } from '../../src/ecdsa/atproto.ts'
import { verifyLog } from '../../src/plc/log.ts'
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
import type { Listed } from './support/oracle.ts'
import type { Pds } from './support/pds.ts'
import { assertOnRecord, readRecord } from './support/record.ts'
import { startStack } from './support/stack.ts'
import type { Stack } from './support/stack.ts'

// A stock PDS with only the environment that Holdfast printed. The tests follow one another: what
// the first ones leave on the directory is what the last ones judge.

const COUNT = 200
const WIDTH = 4

let stack: Stack
let holdfast: Holdfast
let pds: Pds
let accounts: Account[]

beforeAll(async () => {
  stack = await startStack()
  holdfast = await startHoldfast({
    dataDir: join(stack.dir, 'holdfast'),
    plcUrl: stack.plc.url,
    logFile: join(stack.dir, 'holdfast.log'),
  })
  stack.atEnd(() => holdfast.stop())
  pds = await stack.startPds(holdfast.pdsEnv)
})

afterAll(() => stack.stop())

async function timed<T>(what: string, count: number, work: () => Promise<T>): Promise<T> {
  const start = performance.now()
  const result = await work()
  const seconds = (performance.now() - start) / 1_000
  console.info(`${what}: ${count} in ${seconds.toFixed(1)} s, ${(count / seconds).toFixed(1)}/s`)
  return result
}

it(`${COUNT} accounts are created with a key that the PDS never holds`, async () => {
  accounts = await timed('accounts created', COUNT, () =>
    inParallel(COUNT, WIDTH, (index) => createAccount(pds, `user${index}`)),
  )
  expect(new Set(accounts.map(({ did }) => did)).size).toBe(COUNT)
})

it(`${COUNT} handles are changed`, async () => {
  accounts = await timed('handles changed', COUNT, () =>
    inParallel(COUNT, WIDTH, (index) => updateHandle(pds, accounts[index]!, `new${index}`)),
  )
  expect(await readExport(stack.plc.url)).toHaveLength(2 * COUNT)
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
  const { account, refused } = await createAccountTwice(pds, 'twin')
  expect(refused.status).toBe(500)
  const entries = await readExport(stack.plc.url)
  const tombstones = entries.filter((entry) => entry.operation.type === 'plc_tombstone')
  expect(tombstones).toHaveLength(1)
  expect(tombstones[0]?.did).not.toBe(account.did)
})

it('every operation on the directory verifies, by Holdfast and by the independent oracle', async () => {
  const entries = await readExport(stack.plc.url)
  const dids = [...new Set(entries.map((entry) => entry.did))]
  expect(dids).toHaveLength(COUNT + 2)
  expect(entries).toHaveLength(2 * COUNT + 1 + 3)
  const logs = await inParallel(dids.length, WIDTH, async (index): Promise<Listed[]> => {
    const log = await readAuditLog(stack.plc.url, dids[index]!)
    await verifyLog(dids[index]!, log, verifyWithAtproto)
    await assertSoundLog(dids[index]!, log)
    return log
  })
  expect(new Set(logs.flat().map(({ cid }) => cid))).toEqual(new Set(entries.map(({ cid }) => cid)))
})

it('every signature has its intent and outcome on record, and nothing else was signed', async () => {
  const entries = await readExport(stack.plc.url)
  const record = await readRecord(holdfast.dataDir)
  for (const entry of entries) assertOnRecord(record, entry)
  expect(new Set(record.produced.map(({ cid }) => cid))).toEqual(
    new Set(entries.map(({ cid }) => cid)),
  )
  expect(record.intended).toHaveLength(entries.length)
})
