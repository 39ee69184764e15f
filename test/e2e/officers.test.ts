import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { SignCommand } from '@aws-sdk/client-kms'
import { encode } from '@ipld/dag-cbor'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { persons, rosterYaml } from '../policy/officers.ts'
import type { RequestView } from '../../src/api/request.ts'
import { createClient } from '../../src/client/client.ts'
import { kmsClient } from '../support/aws-client.ts'
import { officerKeyFile, passphraseFile } from '../support/officer-files.ts'
import { withoutCeremony } from '../support/officers.ts'
import { runCommand } from '../support/run-command.ts'
import { XrpcError, createAccount, updateHandle } from './support/flows.ts'
import type { Account } from './support/flows.ts'
import { listRequests, startHoldfast } from './support/holdfast.ts'
import type { Holdfast } from './support/holdfast.ts'
import { assertSoundLog, readAuditLog } from './support/oracle.ts'
import type { Pds } from './support/pds.ts'
import { assertOnRecord, readRecord } from './support/record.ts'
import { startStack } from './support/stack.ts'
import type { Stack } from './support/stack.ts'

// A stock PDS under a policy by which a handle changes only when two officers agree. It knows nothing of
// officers: its user sees an error, and tries again. The tests follow one another.

let stack: Stack
let holdfast: Holdfast
let pds: Pds
let account: Account
let request: string
/** What an auditor keeps of the log before officers are asked. */
let kept: string

beforeAll(async () => {
  stack = await startStack()
  holdfast = await startWithOfficers()
  stack.atEnd(() => holdfast.stop())
  pds = await stack.startPds(holdfast.pdsEnv)
  account = await createAccount(pds, 'asker')
  kept = await exported('kept')
})

afterAll(() => stack.stop())

const groups = `groups:
  security: { k: 2, of: [alice, bob, carol, dora] }
minimum:
  { genesis: 0, update: 0, nullify: 0, tombstone: 0, tombstone.fresh: 0, departure: 0,
    policy: 0, roster: 0, ceremony: 0, redaction: 0, log-fork: 0, thaw: 0 }
publication: 1h
ceremony: { approversMayOperate: true, operators: 1, observers: 0 }
rules:
  - id: HANDLE
    match: { op: [update], key: [online], diff: [alsoKnownAs] }
    require: security
    approveBy: 24h
    executeBy: 4h`

/** As an operator does it: the first start writes the files, officers are added, the second uses them. */
async function startWithOfficers(): Promise<Holdfast> {
  const dataDir = join(stack.dir, 'holdfast')
  const options = { dataDir, plcUrl: stack.plc.url }
  const first = await startHoldfast({ ...options, logFile: join(stack.dir, 'holdfast.log') })
  await first.stop()
  const edit = async (name: string, from: string | RegExp, to: string) => {
    const path = join(dataDir, 'policies', name)
    const text = await readFile(path, 'utf8')
    expect(text).toMatch(from)
    await writeFile(path, text.replace(from, to))
  }
  const policy = join(dataDir, 'policies', 'policy.yaml')
  await writeFile(policy, withoutCeremony(await readFile(policy, 'utf8')))
  await edit('policy.yaml', 'rules:', groups)
  await edit('callers.yaml', /^ {2}- name: pds$/m, '  - name: pds\n    operatedBy: [dora]')
  await writeFile(
    join(dataDir, 'policies', 'roster.yaml'),
    rosterYaml([persons.alice, persons.bob, persons.carol, persons.dora]),
  )
  await passphraseFile(stack.dir)
  for (const person of ['alice', 'bob', 'carol', 'dora']) await officerKeyFile(stack.dir, person)
  const port = Number(new URL(first.url).port)
  return await startHoldfast({ ...options, port, logFile: join(stack.dir, 'holdfast-again.log') })
}

/** A command on an officer's own machine: the directory, the policy files, and the officer's key. */
async function officer(person: string, verb: string, id: string, more: readonly string[] = []) {
  const key = ['--key-file', `${person}.age`, '--passphrase-file', 'passphrase']
  return await runCommand(['requests', verb, id, ...key, '--url', holdfast.url, ...more], {
    cwd: stack.dir,
    env: {
      HOME: stack.dir,
      HOLDFAST_PLC_URL: stack.plc.url,
      HOLDFAST_POLICIES_DIR: join(holdfast.dataDir, 'policies'),
    },
  })
}

/** What the caller sees of its own request, words included; officers get them over another channel. */
async function shown(id: string): Promise<RequestView> {
  return await createClient({ url: holdfast.url, credential: pdsCredential() }).readRequest(id)
}

const pdsCredential = () => ({
  accessKeyId: holdfast.pdsEnv['AWS_ACCESS_KEY_ID'] ?? '',
  secretAccessKey: holdfast.pdsEnv['AWS_SECRET_ACCESS_KEY'] ?? '',
})

const confirmation = async (id: string) => ['--confirm', (await shown(id)).approval?.words ?? '']

/** The same bytes again, as the AWS SDK in the PDS asks for them: what the PDS keeps to itself is seen. */
async function askDoor(id: string): Promise<unknown> {
  const { operation } = await shown(id)
  const client = kmsClient(`${holdfast.url}/kms`, pdsCredential())
  return await client.send(
    new SignCommand({
      KeyId: 'pds',
      Message: encode(operation),
      SigningAlgorithm: 'ECDSA_SHA_256',
    }),
  )
}

async function refusal(change: Promise<unknown>): Promise<string> {
  const refused = await change.catch((error: unknown) => error)
  expect(refused).toBeInstanceOf(XrpcError)
  expect(refused).toMatchObject({ status: 500 })
  return String(refused)
}

it('a change that needs officers is an error to the user, and names the request to the operator', async () => {
  const words = await refusal(updateHandle(pds, account, 'renamed'))
  request = /approval required by HANDLE.* \(request ([0-9a-f-]{36})\)/.exec(words)?.[1] ?? ''
  expect(request).not.toBe('')
  await expect(askDoor(request)).rejects.toMatchObject({
    name: 'KMSInvalidStateException',
    message: expect.stringContaining(request),
    $metadata: { httpStatusCode: 400, attempts: 1 },
  })
  const [waiting] = await listRequests(holdfast, 'proposed')
  expect(waiting).toMatchObject({ id: request, did: account.did, signature: null })
})

it('a second try asks nobody anew: it is the same request, still waiting', async () => {
  const words = await refusal(updateHandle(pds, account, 'renamed'))
  expect(words).toContain(request)
  expect(await listRequests(holdfast, 'proposed')).toHaveLength(1)
})

it('whoever operates the PDS does not approve what it asked for', async () => {
  const ran = await officer('dora', 'approve', request, await confirmation(request))
  expect(ran).toMatchObject({ code: 1, out: '' })
  expect(ran.err).toContain('dora operates pds, which asked for this, and so does not approve it')
})

it('one officer is not enough; with the second the user’s next try goes through, signed once', async () => {
  const confirm = await confirmation(request)
  expect(await officer('alice', 'approve', request, confirm)).toMatchObject({ code: 0 })
  expect(await refusal(updateHandle(pds, account, 'renamed'))).toContain('1 more of security')
  const second = await officer('carol', 'approve', request, [...confirm, '--json'])
  expect(JSON.parse(second.out)).toMatchObject({ state: 'approved', standing: 'met' })

  account = await updateHandle(pds, account, 'renamed')
  const log = await readAuditLog(stack.plc.url, account.did)
  await assertSoundLog(account.did, log)
  expect(log).toHaveLength(2)
  expect(log[1]?.operation).toMatchObject({ alsoKnownAs: ['at://renamed.test'] })
  const record = await readRecord(holdfast.dataDir)
  for (const entry of log) assertOnRecord(record, entry)
  expect(record.produced).toHaveLength(2)
})

it('what an officer rejected is denied to the PDS for good, and nothing is signed', async () => {
  const words = await refusal(updateHandle(pds, account, 'unwanted'))
  const id = /\(request ([0-9a-f-]{36})\)/.exec(words)?.[1] ?? ''
  const confirm = await confirmation(id)
  expect(await officer('alice', 'approve', id, confirm)).toMatchObject({ code: 0 })
  expect(await officer('bob', 'reject', id, confirm)).toMatchObject({ code: 0 })

  const denied = await refusal(updateHandle(pds, account, 'unwanted'))
  expect(denied).toContain('reject')
  expect(denied).toContain(id)
  await expect(askDoor(id)).rejects.toMatchObject({
    name: 'AccessDeniedException',
    message: expect.stringContaining(id),
    $metadata: { httpStatusCode: 400, attempts: 1 },
  })
  expect(await readAuditLog(stack.plc.url, account.did)).toHaveLength(2)
  expect((await readRecord(holdfast.dataDir)).intended).toHaveLength(2)
})

it('the log of all that is sound to an auditor, who judges what officers said from their signatures', async () => {
  const late = await exported('late')
  const vkey = (await readFile(join(late, 'log.vkey'), 'utf8')).trim()
  const card = join(stack.dir, 'card.yaml')
  await writeFile(card, `trust: holdfast/trust/v1\nlog: ${vkey}\n`)
  const args = ['verify', late, '--trust', card, '--checkpoint', join(kept, 'checkpoint')]
  const ran = await audit([...args, '--json'])
  expect({ ...ran, err: '' }).toMatchObject({ code: 0 })
})

async function audit(args: readonly string[]) {
  const env = { HOME: stack.dir, HOLDFAST_DATA_DIR: holdfast.dataDir }
  return await runCommand(['audit', ...args], { cwd: stack.dir, env })
}

async function exported(name: string): Promise<string> {
  const dir = join(stack.dir, name)
  expect(await audit(['export', dir])).toMatchObject({ code: 0 })
  return dir
}
