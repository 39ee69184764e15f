import { randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { encode } from '@ipld/dag-cbor'
import { Secp256k1Keypair } from '@atproto/crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { withItem } from '../../src/development.ts'
import { runCommand } from '../support/run-command.ts'
import type { Ran } from '../support/run-command.ts'
import {
  createAccount,
  signPlcOperation,
  submitPlcOperation,
  updateHandle,
} from './support/flows.ts'
import type { Account } from './support/flows.ts'
import { startHoldfast } from './support/holdfast.ts'
import type { Holdfast } from './support/holdfast.ts'
import { moveAccount, postSomething } from './support/migration.ts'
import { assertSoundLog, readAuditLog } from './support/oracle.ts'
import type { Listed } from './support/oracle.ts'
import type { Pds } from './support/pds.ts'
import { assertOnRecord, readRecord } from './support/record.ts'
import { startStack } from './support/stack.ts'
import type { Stack } from './support/stack.ts'

// docs/adopting.md, step by step: a PDS with accounts under a plain-text key moves to Holdfast, lives
// with it, and goes back. The tests follow one another.

/** What an operator keeps in the PDS's environment file whatever holds the rotation key. */
const kept = {
  PDS_JWT_SECRET: randomBytes(16).toString('hex'),
  PDS_DPOP_SECRET: randomBytes(32).toString('hex'),
  PDS_ADMIN_PASSWORD: randomBytes(16).toString('hex'),
}
const hex = randomBytes(32).toString('hex')
const plain = { ...kept, PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX: hex }

let stack: Stack
let holdfast: Holdfast
let pds: Pds
let adopted: string
let switched: Record<string, string>
let accounts: Account[]

beforeAll(async () => {
  adopted = (await Secp256k1Keypair.import(hex)).did()
  stack = await startStack()
  pds = await stack.startPds(plain)
  accounts = []
  for (const name of ['anna', 'bert', 'cleo']) accounts.push(await createAccount(pds, name))
  accounts[0] = await updateHandle(pds, accounts[0]!, 'anna-before')
  holdfast = await start('holdfast.log')
  stack.atEnd(() => holdfast.stop())
})

afterAll(() => stack.stop())

async function start(logFile: string): Promise<Holdfast> {
  const dataDir = join(stack.dir, 'holdfast')
  return await startHoldfast({ dataDir, plcUrl: stack.plc.url, logFile: join(stack.dir, logFile) })
}

async function command(args: readonly string[], input?: string): Promise<Ran> {
  const env = {
    HOLDFAST_DATA_DIR: holdfast.dataDir,
    HOLDFAST_PLC_URL: stack.plc.url,
    HOLDFAST_PORT: '0',
  }
  const ran = await runCommand(args, { env, ...(input === undefined ? {} : { input }) })
  expect(`${ran.out}${ran.err}`).not.toContain(hex)
  return ran
}

async function restartPds(env: Record<string, string>): Promise<void> {
  await pds.stop()
  pds = await stack.startPds(env, { port: Number(new URL(pds.url).port) })
}

async function lastOf(did: string): Promise<Listed> {
  const log = await readAuditLog(stack.plc.url, did)
  await assertSoundLog(did, log)
  return log.at(-1)!
}

async function isOurs(entry: Listed): Promise<void> {
  assertOnRecord(await readRecord(holdfast.dataDir), entry)
}

it('the key is imported from standard input and pinned, marked as exposed', async () => {
  const { code, out } = await command(['keys', 'import', 'adopted', '--from', '-', '--json'], hex)
  expect(code).toBe(0)
  const imported = JSON.parse(out) as Record<string, unknown>
  expect(imported).toMatchObject({ did: adopted, exposed: true })
  const path = join(holdfast.dataDir, 'policies', 'keys.yaml')
  const line = { ...imported, class: 'online' }
  await writeFile(path, withItem(await readFile(path, 'utf8'), line))
})

it('the PDS becomes a caller with that key and its own address', async () => {
  const rights = ['--key', 'adopted', '--pds', pds.url]
  const { code, out } = await command(['callers', 'add', 'old-pds', ...rights, '--json'])
  expect(code).toBe(0)
  const made = JSON.parse(out) as { accessKeyId: string; secretAccessKey: string }
  await holdfast.stop()
  holdfast = await start('holdfast-adopted.log')
  switched = {
    ...kept,
    PDS_PLC_ROTATION_KEY_KMS_KEY_ID: 'adopted',
    AWS_ENDPOINT_URL_KMS: `${holdfast.url}/kms`,
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: made.accessKeyId,
    AWS_SECRET_ACCESS_KEY: made.secretAccessKey,
  }
})

it('its start and readyz warn that the key has been outside of custody', async () => {
  const words = /outside of custody .*plan its replacement/
  expect(holdfast.child.log()).toMatch(words)
  const { warnings } = (await (await fetch(`${holdfast.url}/readyz`)).json()) as {
    warnings: string[]
  }
  expect(warnings).toContainEqual(expect.stringMatching(words))
  expect(JSON.stringify(warnings)).not.toMatch(/adopted|did:key/)
})

it('its accounts are enrolled as the PDS lists them', async () => {
  const args = ['enroll', '--pds', pds.url, '--caller', 'old-pds', '--rate', '50', '--json']
  const { code, out } = await command(args)
  expect(code).toBe(0)
  const last = JSON.parse(out.trim().split('\n').at(-1) ?? '{}') as { summary: object }
  expect(last.summary).toMatchObject({ all: 3, enrolled: 3 })
})

it('with the environment switched, handles change and accounts are made as before', async () => {
  await restartPds(switched)
  for (const [index, account] of accounts.entries()) {
    const before = await lastOf(account.did)
    accounts[index] = await updateHandle(pds, account, `after${index}`)
    const entry = await lastOf(account.did)
    expect(entry.operation.prev).toBe(before.cid)
    await isOurs(entry)
  }
  const fresh = await createAccount(pds, 'dora')
  const genesis = await lastOf(fresh.did)
  expect(genesis.operation).toMatchObject({ rotationKeys: [adopted] })
  await isOurs(genesis)
})

it('an account that moves in changes its handle, without any command', async () => {
  const other = await stack.startPds(
    {
      PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX: randomBytes(32).toString('hex'),
      PDS_SERVICE_DID: 'did:web:other.test',
    },
    { name: 'other-pds' },
  )
  const account = await createAccount(other, 'emil')
  const moved = await moveAccount({ from: other, to: pds, account, name: 'emil-here' })
  expect(await postSomething(pds, moved)).toContain(moved.did)

  await updateHandle(pds, moved, 'emil-settled')
  const entry = await lastOf(moved.did)
  expect(entry.operation).toMatchObject({ alsoKnownAs: ['at://emil-settled.test'] })
  await isOurs(entry)
  expect(holdfast.child.log()).toContain('an account that moved in was taken into care')
})

it('an account whose user signed with a key of their own goes on too', async () => {
  const [account] = accounts as [Account]
  const own = await Secp256k1Keypair.create()
  const operation = await signPlcOperation(pds, account, { rotationKeys: [own.did(), adopted] })
  await submitPlcOperation(pds, account, operation)
  await submitSignedBy(own, account.did, {
    alsoKnownAs: [`at://${account.handle}`, 'https://own.test'],
  })

  await updateHandle(pds, account, 'anna-goes-on')
  const entry = await lastOf(account.did)
  expect(entry.operation).toMatchObject({
    rotationKeys: [own.did(), adopted],
    alsoKnownAs: ['at://anna-goes-on.test', 'https://own.test'],
  })
  await isOurs(entry)
})

/** What a user does with a tool and a key of their own, past the PDS. */
async function submitSignedBy(key: Secp256k1Keypair, did: string, change: object): Promise<void> {
  const head = await lastOf(did)
  const { sig: _sig, ...before } = head.operation
  const unsigned = { ...before, ...change, prev: head.cid }
  const sig = Buffer.from(await key.sign(encode(unsigned))).toString('base64url')
  const submitted = await fetch(`${stack.plc.url}/${did}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...unsigned, sig }),
  })
  expect(submitted.status).toBe(200)
}

it('the way back: the PDS has its key again, and nothing on the directory needs undoing', async () => {
  await restartPds(plain)
  const [, account] = accounts as [Account, Account]
  const before = await readRecord(holdfast.dataDir)
  await updateHandle(pds, account, 'bert-back')
  expect((await lastOf(account.did)).operation).toMatchObject({
    alsoKnownAs: ['at://bert-back.test'],
  })
  expect((await readRecord(holdfast.dataDir)).produced).toHaveLength(before.produced.length)
})

it('and forth again: what was signed meanwhile is found by itself', async () => {
  await restartPds(switched)
  const [, account] = accounts as [Account, Account]
  await updateHandle(pds, account, 'bert-forth')
  const entry = await lastOf(account.did)
  expect(entry.operation).toMatchObject({ alsoKnownAs: ['at://bert-forth.test'] })
  await isOurs(entry)
})
