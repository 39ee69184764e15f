import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { decodeEntry } from '../../src/audit/decode.ts'
import { createClient } from '../../src/client/client.ts'
import { toConfig } from '../../src/config.ts'
import { openSealer, prepareDataDir } from '../../src/data-dir.ts'
import { openPolicies } from '../../src/development.ts'
import { persons, rosterYaml } from '../policy/officers.ts'
import { startDirectory } from '../e2e/support/directory.ts'
import { kmsCaller } from '../support/kms-caller.ts'
import { officerKeyFile, passphraseFile } from '../support/officer-files.ts'
import { withOfficers } from '../support/officers.ts'
import { genesisOf } from '../support/operations.ts'
import { createTestDatabase, outsidePool } from '../support/postgres.ts'
import { runCommand } from '../support/run-command.ts'
import type { Ran } from '../support/run-command.ts'
import { startServiceProcess } from '../support/service-process.ts'
import type { ServiceProcess } from '../support/service-process.ts'
import { putOfficers } from '../support/service.ts'

// Two processes of the service on one database and one checkpoint store, and officers with own keys.

// By which officers name a service that was started on any free port.
const PUBLIC_URL = 'http://localhost:0'

let dir: string
let database: Awaited<ReturnType<typeof createTestDatabase>>
let directory: Awaited<ReturnType<typeof startDirectory>>
let services: ServiceProcess[]
let env: Record<string, string>
let keyDid: string
let accounts = 0
let signedBefore: string
let unsignedBefore: string

/** Thawing asks two of three officers. */
const withThaw = (shipped: string): string =>
  withOfficers(shipped)
    .replace('log-fork, thaw], key: [none]', 'log-fork], key: [none]')
    .replace(
      'rules:',
      `rules:
  - { id: THAW, match: { op: [thaw], key: [none], diff: any }, require: security, approveBy: 24h, executeBy: 24h }`,
    )

const run = async (args: string[], input = ''): Promise<Ran> =>
  await runCommand([...args, '--json'], { env, cwd: dir, input })

const asOfficer = (person: string) => [
  '--key-file',
  join(dir, `${person}.age`),
  '--passphrase-file',
  join(dir, 'passphrase'),
]

const freeze = async (person: string, ...scope: string[]) =>
  await run(['freeze', ...scope, '--url', services[0]!.url, ...asOfficer(person)])

async function signAt(service: ServiceProcess) {
  const kms = kmsCaller(service.url, services[0]!.credential!)
  const answer = await kms.sign(genesisOf(`freeze-${(accounts += 1)}`, [keyDid]))
  kms.close()
  return answer
}

const pds = () => createClient({ url: services[0]!.url, credential: services[0]!.credential! })

async function proposed(): Promise<string> {
  const operation = genesisOf(`freeze-${(accounts += 1)}`, [keyDid])
  return (await pds().propose({ key: 'pds', operation })).id
}

/** Within the time in which it must have come into force everywhere. */
const SETTLED_MS = 2_000
const settled = async () => await new Promise((resolve) => setTimeout(resolve, SETTLED_MS))

async function expectFrozen(scope: string): Promise<void> {
  for (const service of services) {
    const answer = await signAt(service)
    expect(answer).toMatchObject({ status: 400, code: 'AccessDeniedException' })
    expect('message' in answer ? answer.message : '').toContain(`frozen (${scope}, since`)
  }
}

async function expectSigning(): Promise<void> {
  for (const service of services) expect(await signAt(service)).toMatchObject({ status: 200 })
}

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'holdfast-freeze-'))
  database = await createTestDatabase()
  directory = await startDirectory()
  const dataDir = join(dir, 'data')
  const config = toConfig({ HOLDFAST_DATA_DIR: dataDir }, dir)
  await prepareDataDir(config)
  const { policies } = await openPolicies(config, await openSealer(config))
  keyDid = policies.keys[0]!.did
  await putOfficers(dataDir, { roster: rosterYaml(Object.values(persons)), policy: withThaw })
  await cp(join(dataDir, 'policies'), join(dir, 'policies'), { recursive: true })
  for (const person of ['alice', 'bob', 'carol', 'erin']) await officerKeyFile(dir, person)
  await passphraseFile(dir)
  env = {
    HOLDFAST_DATA_DIR: dataDir,
    HOLDFAST_PLC_URL: directory.url,
    HOLDFAST_PUBLIC_URL: PUBLIC_URL,
    DATABASE_URL: database.url,
  }
  const parts = { dataDir, databaseUrl: database.url, plcUrl: directory.url }
  services = [await startServiceProcess(parts)]
  services.push(await startServiceProcess(parts))
})
afterAll(async () => {
  for (const service of services) await service.stop()
  await directory.stop()
  await database.drop()
  await rm(dir, { recursive: true })
})

describe('a freeze by one officer', () => {
  test('stops signing on every instance, and tells callers so; the public key is still told', async () => {
    await expectSigning()
    signedBefore = await proposed()
    await pds().sign(signedBefore)
    unsignedBefore = await proposed()
    const { code, err } = await freeze('alice', '--caller', 'pds')
    expect({ code, err }).toEqual({ code: 0, err: '' })
    await settled()
    await expectFrozen('caller pds')
    for (const { url } of services) {
      expect(await (await fetch(`${url}/readyz`)).json()).toMatchObject({
        warnings: expect.arrayContaining([expect.stringContaining('frozen')]),
      })
    }
  })

  test('stops what was signed before from being sent on, but by the word of another officer', async () => {
    const [{ url }] = services as [ServiceProcess]
    await expect(pds().submit(signedBefore)).rejects.toMatchObject({
      problem: { code: 'denied', rule: 'FROZEN' },
    })
    const submit = async (id: string, person: string) =>
      await run(['requests', 'submit', id, '--url', url, ...asOfficer(person)])
    const own = await submit(signedBefore, 'alice')
    expect({ code: own.code, said: `${own.out}${own.err}` }).toEqual({
      code: 1,
      said: expect.stringContaining('alice has frozen this (caller pds)'),
    })
    // Of what is not signed nothing is sent on, and nobody's word is kept.
    expect(await submit(unsignedBefore, 'bob')).toMatchObject({ code: 1 })
    expect(await submit(signedBefore, 'bob')).toMatchObject({ code: 0 })
    expect((await pds().readRequest(signedBefore)).state).toBe('confirmed')
    await expectFrozen('caller pds')
  })

  test('is of a caller and key that are there, and by an officer', async () => {
    expect(await freeze('alice', '--key', 'nothing')).toMatchObject({ code: 1 })
    // Erin is a custodian.
    expect((await freeze('erin')).code).not.toBe(0)
    const { code, err } = await run(['freeze'])
    expect({ code, err }).toEqual({ code: 1, err: expect.stringContaining('has officers') })
  })

  test('is not lifted by the operator, one officer, or whoever writes the database', async () => {
    const request = join(dir, 'alone.json')
    expect((await run(['thaw'])).err).toContain('officers decide this')
    const asked = await run(['thaw', request, '--proposer', 'alice'])
    expect({ code: asked.code, err: asked.err }).toEqual({ code: 0, err: '' })
    const { words } = JSON.parse(asked.out) as { words: string }
    const approve = async (person: string) =>
      await run(
        ['thaw', 'approve', request, '--policies', join(dir, 'policies'), ...asOfficer(person)],
        `${words}\n`,
      )
    expect(await approve('bob')).toMatchObject({ code: 0 })
    const early = await run(['thaw', request])
    expect(early).toMatchObject({ code: 1, out: '' })
    expect(early.err).toContain('missing')
    // Whoever asks does not approve.
    expect((await approve('alice')).err).toContain('asked for this')
    await expectFrozen('caller pds')
    expect(await approve('carol')).toMatchObject({ code: 0 })
    const lifted = await run(['thaw', request])
    expect({ code: lifted.code, err: lifted.err }).toEqual({ code: 0, err: '' })
    await settled()
    await expectSigning()
    expect(await run(['trust', 'show'])).toMatchObject({
      out: expect.stringContaining('"frozen":[]'),
    })
  })

  test('that comes again is another one: the same approvals do not lift it', async () => {
    expect(await freeze('bob', '--caller', 'pds')).toMatchObject({ code: 0 })
    const again = await run(['thaw', join(dir, 'alone.json')])
    expect(again).toMatchObject({
      code: 1,
      err: expect.stringContaining('something else is frozen'),
    })
    await settled()
    await expectFrozen('caller pds')
  })

  test('is told to people once, and so is that it was lifted', async () => {
    const outside = outsidePool(database)
    const { rows } = await outside.query<{ event: string; subject: string }>(
      `select event, subject from notices where event in ('frozen', 'thawed') order by created_at`,
    )
    await outside.end()
    expect(rows.map(({ event }) => event)).toEqual(['frozen', 'thawed', 'frozen'])
    expect(rows[0]?.subject).toMatch(/^caller pds since .* by person:alice$/)
    expect(rows[1]?.subject).toBe(rows[0]?.subject)
  })

  test('stands in the log, each time with who did it', async () => {
    const outside = outsidePool(database)
    const { rows } = await outside.query<{ body: Buffer }>(
      `select body from audit_entries order by idx`,
    )
    await outside.end()
    const entries = rows.map(({ body }) => decodeEntry(new Uint8Array(body)).entry)
    expect(entries.filter(({ kind }) => kind === 'submission.allowed')).toEqual([
      { kind: 'submission.allowed', request: signedBefore, person: 'bob', frozen: ['caller pds'] },
    ])
    const told = entries
      .filter(({ kind }) => kind.startsWith('signing.'))
      .map((entry) => (entry.kind === 'signing.frozen' ? entry.by : entry.kind))
    expect(told).toEqual(['person:alice', 'signing.thawed', 'person:bob'])
  })

  test('is judged by an auditor, from what officers signed', async () => {
    const folder = join(dir, 'export')
    expect(await run(['audit', 'export', folder])).toMatchObject({ code: 0 })
    const kept = ['--checkpoint', join(folder, 'checkpoint')]
    const { code, out } = await run(['audit', 'verify', folder, ...kept])
    expect({ code, ...JSON.parse(out) }).toMatchObject({
      verdict: 'sound',
      findings: [],
      missing: [],
    })
    expect(code).toBe(0)
  })
})
