import { readFile, writeFile } from 'node:fs/promises'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { Secp256k1Keypair } from '@atproto/crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createAccount, inParallel, signPlcOperation, updateHandle } from './support/flows.ts'
import type { Account } from './support/flows.ts'
import { listRequests, startHoldfast } from './support/holdfast.ts'
import type { Holdfast } from './support/holdfast.ts'
import { moveAccount, postSomething } from './support/migration.ts'
import { assertSoundLog, readAuditLog } from './support/oracle.ts'
import type { Pds } from './support/pds.ts'
import { assertOnRecord, readRecord } from './support/record.ts'
import { startStack } from './support/stack.ts'
import type { Stack } from './support/stack.ts'

// Users leave a PDS whose key Holdfast has, for one that keeps its key itself. The tests follow one
// another: the day's limit is used up by the last but one.

/** Of the shipped policy. */
const LIMIT = 20

let stack: Stack
let holdfast: Holdfast
let oldPds: Pds
let newPds: Pds
let newKey: string
let accounts: Account[]
let departures = 0

beforeAll(async () => {
  stack = await startStack()
  holdfast = await start('holdfast.log')
  stack.atEnd(() => holdfast.stop())
  const secret = randomBytes(32).toString('hex')
  newKey = (await Secp256k1Keypair.import(secret)).did()
  oldPds = await stack.startPds(holdfast.pdsEnv)
  newPds = await stack.startPds(
    {
      PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX: secret,
      PDS_SERVICE_DID: 'did:web:new.test',
    },
    { name: 'new-pds' },
  )
  accounts = await inParallel(LIMIT + 1, 4, (index) => createAccount(oldPds, `leaver${index}`))
})

afterAll(() => stack.stop())

async function start(logFile: string, port?: number): Promise<Holdfast> {
  return await startHoldfast({
    dataDir: join(stack.dir, 'holdfast'),
    plcUrl: stack.plc.url,
    logFile: join(stack.dir, logFile),
    ...(port === undefined ? {} : { port }),
  })
}

/** An operation that moves an account away, signed at the PDS with its e-mailed token. */
async function signDeparture(account: Account): Promise<unknown> {
  const [theirs, repo] = await Promise.all([Secp256k1Keypair.create(), Secp256k1Keypair.create()])
  return await signPlcOperation(oldPds, account, {
    rotationKeys: [theirs.did(), newKey],
    verificationMethods: { atproto: repo.did() },
    services: { atproto_pds: { type: 'AtprotoPersonalDataServer', endpoint: newPds.url } },
  })
}

function alarms(): { rule: string; used: number; count: number }[] {
  return holdfast.child
    .log()
    .split('\n')
    .filter((line) => line.includes('"limit-alarm"'))
    .map((line) => JSON.parse(line))
}

it('a user moves by the stock flow, and none of our keys is left', async () => {
  const [account] = accounts
  const [genesis] = await readAuditLog(stack.plc.url, account!.did)
  const moved = await moveAccount({ from: oldPds, to: newPds, account: account!, name: 'moved' })
  departures += 1

  const log = await readAuditLog(stack.plc.url, moved.did)
  await assertSoundLog(moved.did, log)
  const head = log.at(-1)!
  expect(genesis?.operation).not.toMatchObject({ rotationKeys: [newKey] })
  expect(head.operation).toMatchObject({
    rotationKeys: [newKey],
    alsoKnownAs: ['at://moved.test'],
    services: { atproto_pds: { endpoint: newPds.url } },
  })
  expect(await postSomething(newPds, moved)).toContain(moved.did)
  await updateHandle(newPds, moved, 'settled')
  expect(await readAuditLog(stack.plc.url, moved.did)).toHaveLength(3)
})

it('that was signed under the rule DEPARTURE, and is on record', async () => {
  const [account] = accounts
  const requests = await listRequests(holdfast, 'returned')
  const departure = requests.find(
    ({ did, class: kind }) => did === account!.did && kind !== 'genesis',
  )
  expect(departure).toMatchObject({ class: 'departure', rules: ['DEPARTURE'] })
  const head = (await readAuditLog(stack.plc.url, account!.did))[1]!
  assertOnRecord(await readRecord(holdfast.dataDir), head)
})

it('half of the limit rings an alarm, and each one after it', async () => {
  while (departures < LIMIT / 2 - 1) await signDeparture(accounts[departures++]!)
  expect(alarms()).toEqual([])
  await signDeparture(accounts[departures++]!)
  expect(alarms()).toMatchObject([
    { rule: 'DEPARTURE', used: LIMIT / 2, count: LIMIT, alarm: true },
  ])
  while (departures < LIMIT) await signDeparture(accounts[departures++]!)
  expect(alarms()).toHaveLength(LIMIT / 2 + 1)
})

it('the first one above the limit is denied, naming the rule, and nothing is signed', async () => {
  const last = accounts.at(-1)!
  await expect(signDeparture(last)).rejects.toThrow(/: 500 .*DEPARTURE/)
  const [denied] = await listRequests(holdfast, 'denied')
  expect(denied).toMatchObject({ did: last.did, class: 'departure', signature: null })
  expect(denied?.rules).toEqual(['DEPARTURE'])
  expect(await readAuditLog(stack.plc.url, last.did)).toHaveLength(1)
})

it('other changes are signed as before', async () => {
  const { did } = await updateHandle(oldPds, accounts.at(-1)!, 'staying')
  expect(await readAuditLog(stack.plc.url, did)).toHaveLength(2)
})

it('with the limit raised and the service started again, users go on leaving', async () => {
  const path = join(holdfast.dataDir, 'policies', 'policy.yaml')
  const policy = await readFile(path, 'utf8')
  await holdfast.stop()
  await writeFile(path, policy.replace(`global: ${LIMIT}/1d`, `global: ${2 * LIMIT}/1d`))
  holdfast = await start('holdfast-again.log', Number(new URL(holdfast.url).port))

  await signDeparture(accounts.at(-1)!)
  expect(alarms()).toMatchObject([{ used: LIMIT + 1, count: 2 * LIMIT }])
})
