import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { encode } from '@ipld/dag-cbor'
import { Secp256k1Keypair } from '@atproto/crypto'
import * as plc from '@did-plc/lib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startDirectory } from './support/directory.ts'
import type { TestDirectory } from './support/directory.ts'
import { cidOf, didOf } from './support/directory/log.ts'
import type { Operation, PlcOperation, Tombstone } from './support/directory/operation.ts'
import { assertSoundLog, readAuditLog } from './support/oracle.ts'
import type { Listed } from './support/oracle.ts'

const HOUR_MS = 3_600_000
const start = new Date('2026-03-01T00:00:00.000Z')

let directory: TestDirectory
let recovery: Secp256k1Keypair
let server: Secp256k1Keypair
let genesis: PlcOperation
let did: string

beforeEach(async () => {
  recovery = await Secp256k1Keypair.create()
  server = await Secp256k1Keypair.create()
  directory = await startDirectory()
  directory.setClock(start)
  genesis = await sign(server, {
    type: 'plc_operation',
    rotationKeys: [recovery.did(), server.did()],
    verificationMethods: { atproto: server.did() },
    alsoKnownAs: ['at://one.test'],
    services: { atproto_pds: { type: 'AtprotoPersonalDataServer', endpoint: 'https://pds.test' } },
    prev: null,
  })
  did = didOf(genesis)
})

afterEach(() => directory.stop())

type Unsigned<T> = Omit<T, 'sig'>

async function sign<T extends Unsigned<Operation>>(key: Secp256k1Keypair, operation: T) {
  const sig = Buffer.from(await key.sign(encode(operation))).toString('base64url')
  return { ...operation, sig }
}

function submit(operation: unknown): Promise<Response> {
  const headers = { 'content-type': 'application/json' }
  return fetch(`${directory.url}/${did}`, {
    method: 'POST',
    headers,
    body: JSON.stringify(operation),
  })
}

async function refusal(operation: unknown): Promise<string> {
  const response = await submit(operation)
  const { message } = (await response.json()) as { message: string }
  return `${response.status} ${message}`
}

function update(
  key: Secp256k1Keypair,
  prev: Operation,
  change: Partial<PlcOperation>,
): Promise<PlcOperation> {
  const { sig: _, ...data } = { ...genesis, ...change }
  return sign(key, { ...data, prev: cidOf(prev) })
}

function tombstone(key: Secp256k1Keypair, prev: Operation): Promise<Tombstone> {
  return sign(key, { type: 'plc_tombstone', prev: cidOf(prev) })
}

function later(hours: number): void {
  directory.setClock(new Date(directory.now().getTime() + hours * HOUR_MS))
}

const misordered = '400 Operations not correctly ordered'
const badSignature = expect.stringMatching(/^400 Invalid signature on op: /)

it('genesis and update are read back as document, data, log, last and audit log', async () => {
  const client = new plc.Client(directory.url)
  await client.sendOperation(did, genesis)
  const next = await update(server, genesis, { alsoKnownAs: ['at://two.test'] })
  await client.sendOperation(did, next)
  expect(await client.getLastOp(did)).toEqual(next)
  expect(await client.getOperationLog(did)).toEqual([genesis, next])
  expect((await client.getDocumentData(did)).rotationKeys).toEqual(genesis.rotationKeys)
  expect((await client.getDocument(did)).alsoKnownAs).toEqual(['at://two.test'])
  await assertSoundLog(did, await readAuditLog(directory.url, did))
})

it('a genesis or update that is there already is refused in misleading words', async () => {
  await submit(genesis)
  const next = await update(server, genesis, {})
  await submit(next)
  expect(await refusal(genesis)).toBe(misordered)
  expect(await refusal(next)).toEqual(badSignature)
})

it('a server key with a stale prev is refused, a recovery key nullifies in silence', async () => {
  await submit(genesis)
  const honest = await update(server, genesis, { alsoKnownAs: ['at://honest.test'] })
  await submit(honest)
  later(1)
  expect(await refusal(await update(server, genesis, { alsoKnownAs: [] }))).toEqual(badSignature)
  const fork = await update(recovery, genesis, { alsoKnownAs: ['at://fork.test'] })
  expect((await submit(fork)).status).toBe(200)
  const log = await readAuditLog(directory.url, did)
  expect(log.map((entry) => entry.nullified)).toEqual([false, true, false])
  expect(await refusal(await update(server, honest, {}))).toBe(misordered)
})

it('a fork is accepted at exactly 72 hours and refused a millisecond later', async () => {
  await submit(genesis)
  await submit(await update(server, genesis, {}))
  const first = directory.entries(did)[1]!.createdAt.getTime()
  const fork = await update(recovery, genesis, { alsoKnownAs: [] })
  directory.setClock(new Date(first + 72 * HOUR_MS + 1))
  expect(await refusal(fork)).toMatch(/^400 Recovery operation occurred outside of/)
  directory.setClock(new Date(first + 72 * HOUR_MS))
  expect((await submit(fork)).status).toBe(200)
})

it('a fork that is not newer than the head is misordered', async () => {
  await submit(genesis)
  await submit(await update(server, genesis, {}))
  directory.setClock(start)
  expect(await refusal(await update(recovery, genesis, { alsoKnownAs: [] }))).toBe(misordered)
})

it('a tombstone ends a DID, and only a fork before it brings it back', async () => {
  await submit(genesis)
  const end = await tombstone(server, genesis)
  await submit(end)
  expect((await fetch(`${directory.url}/${did}`)).status).toBe(404)
  later(1)
  expect(await refusal(await update(recovery, end, {}))).toBe(misordered)
  expect((await submit(await update(recovery, genesis, {}))).status).toBe(200)
  expect((await fetch(`${directory.url}/${did}`)).status).toBe(200)
})

it('of two operations judged at once on one prev the one written second gets 409', async () => {
  await submit(genesis)
  directory.fail({ on: 'submit', mode: 'slow', ms: 100, times: 2 })
  const both = await Promise.all(
    ['a', 'b'].map(async (name) => submit(await update(server, genesis, { alsoKnownAs: [name] }))),
  )
  expect(new Set(both.map((response) => response.status))).toEqual(new Set([200, 409]))
})

it('the eleventh operation within an hour is refused, a fork never', async () => {
  let head: Operation = genesis
  await submit(genesis)
  for (let count = 1; count < 10; count += 1) {
    head = await update(server, head, { alsoKnownAs: [`at://n${count}.test`] })
    expect((await submit(head)).status).toBe(200)
  }
  const next = await update(server, head, {})
  const tooMany = '400 To many operations within last hour (max 10)'
  expect(await refusal(next)).toBe(tooMany)
  directory.setClock(new Date(start.getTime() + 1_000))
  expect((await submit(await update(recovery, genesis, { services: {} }))).status).toBe(200)
})

describe('limits of the server', () => {
  const many = Array.from({ length: 11 }, (_, index) => `n${index}`)
  const cases: [string, Partial<PlcOperation> | Record<string, unknown>, RegExp][] = [
    ['eleven names', { alsoKnownAs: many }, /To many alsoKnownAs/],
    ['one name twice', { alsoKnownAs: ['a', 'a'] }, /duplicate alsoKnownAs/],
    ['more than 4000 bytes', { alsoKnownAs: ['a'.repeat(4_000)] }, /too large/],
    ['a rotation key of no known curve', { rotationKeys: ['did:key:z6Mk'] }, /Invalid rotationKey/],
    ['an unknown field', { note: 'x' }, /Not a valid operation/],
  ]
  it.each(cases)('%s: refused', async (_, change, message) => {
    await submit(genesis)
    expect(await refusal(await update(server, genesis, change))).toMatch(message)
  })

  it('no rotation key at all: accepted, as the real one does', async () => {
    await submit(genesis)
    expect((await submit(await update(server, genesis, { rotationKeys: [] }))).status).toBe(200)
  })
})

it('an operation is on record although its answer never came', async () => {
  directory.fail({ on: 'submit', mode: 'accept and fail', times: 1 })
  expect((await submit(genesis)).status).toBe(502)
  expect(directory.entries(did)).toHaveLength(1)
  directory.fail({ on: 'submit', mode: 'accept and hang', times: 1 })
  const next = JSON.stringify(await update(server, genesis, {}))
  const hanging = fetch(`${directory.url}/${did}`, {
    method: 'POST',
    body: next,
    signal: AbortSignal.timeout(300),
  })
  await expect(hanging).rejects.toThrow(/timeout/)
  expect(directory.entries(did)).toHaveLength(2)
})

it('an unavailable directory has done nothing, and works again afterwards', async () => {
  directory.fail({ on: 'submit', mode: 'refuse', times: 1 })
  expect((await submit(genesis)).status).toBe(503)
  expect(directory.entries(did)).toHaveLength(0)
  expect((await submit(genesis)).status).toBe(200)
})

it('the export lists by time with nullified, by sequence without', async () => {
  await submit(genesis)
  const read = async (query: string): Promise<Record<string, unknown>[]> => {
    const text = await (await fetch(`${directory.url}/export?${query}`)).text()
    return text === '' ? [] : text.split('\n').map((line) => JSON.parse(line))
  }
  expect(await read('count=10')).toMatchObject([{ did, nullified: false }])
  expect(await read(`after=${start.toISOString()}`)).toEqual([])
  const [event] = await read('after=0')
  expect(event).toMatchObject({ type: 'sequenced_op', seq: 1, did })
  expect(event).not.toHaveProperty('nullified')
})

describe('published vectors, submitted again at the times they list', () => {
  const folder = join(import.meta.dirname, '../vectors/plc-audit-logs')
  const vectors = (claim: string): [string, Listed[]][] =>
    readdirSync(join(folder, claim)).map((name) => [
      name,
      JSON.parse(readFileSync(join(folder, claim, name), 'utf8')),
    ])

  async function replay(log: readonly Listed[]): Promise<number[]> {
    did = log[0]!.did
    const statuses: number[] = []
    for (const { operation, createdAt } of log) {
      directory.setClock(new Date(createdAt))
      statuses.push((await submit(operation)).status)
    }
    return statuses
  }

  it.each(vectors('valid'))('%s is accepted and listed alike', async (_, log) => {
    expect(new Set(await replay(log))).toEqual(new Set([200]))
    expect(await readAuditLog(directory.url, did)).toEqual(log)
  })

  it.each(vectors('invalid'))('%s is refused at its last operation', async (_, log) => {
    expect((await replay(log)).at(-1)).toBe(400)
  })
})
