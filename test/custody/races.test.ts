import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { signingBytes } from '../../src/plc/encode.ts'
import type { UnsignedOperation } from '../../src/plc/operation.ts'
import { keyNamed } from '../plc/build-log.ts'
import { crash, dryRun } from '../support/crash.ts'
import { startHttpServer } from '../support/http-server.ts'
import type { TestServer } from '../support/http-server.ts'
import { kmsCaller } from '../support/kms-caller.ts'
import type { KmsAnswer } from '../support/kms-caller.ts'
import { departureOf, genesisOf, renamed, signedWith } from '../support/operations.ts'
import type { Signed } from '../support/operations.ts'
import { createTestDatabase } from '../support/postgres.ts'
import type { TestDatabase } from '../support/postgres.ts'
import { findingsOf } from '../support/record-check.ts'
import type { Released } from '../support/record-check.ts'
import { startServiceProcess } from '../support/service-process.ts'
import type { ServiceProcess } from '../support/service-process.ts'

// Two instances of the real service on one Postgres, asked through their KMS doors. All at once: the
// lease of a killed claim is waited for while the others race.

type Caller = ReturnType<typeof kmsCaller>

let dataDir: string
let database: TestDatabase
let directory: TestServer
let services: [ServiceProcess, ServiceProcess]
let callers: [Caller, Caller]
let pool: Pool
let keyDid: string
const released: Released[] = []

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'holdfast-races-'))
  database = await createTestDatabase()
  pool = new Pool({ connectionString: database.url, max: 2 })
  // Nothing here needs the directory, and nothing may.
  directory = await startHttpServer((_request, response) => response.writeHead(500).end())
  const options = { dataDir, databaseUrl: database.url, plcUrl: directory.url }
  const first = await startServiceProcess(options)
  if (first.credential === null) throw new Error('the first start prints a credential')
  services = [first, await startServiceProcess(options)]
  const [a, b] = services.map(({ url }) => kmsCaller(url, first.credential!))
  callers = [a!, b!]
  keyDid = await developmentKeyDid()
})

afterAll(async () => {
  callers.forEach((caller) => caller.close())
  await Promise.all(services.map(async (service) => await service.stop()))
  await directory.stop()
  await pool.end()
  await database.drop()
  await rm(dataDir, { recursive: true })
})

// With the genesis seven operations of an identity: the budget of eight an hour plays no part.
const ROUNDS = 6
const IDENTITIES = 167
const RACES = ROUNDS * IDENTITIES
/** Races under way at once; each is two requests. */
const AT_ONCE = 16

test.concurrent(
  `${RACES} races of two operations on one prev, one at each instance: exactly one is signed`,
  { timeout: 300_000 },
  async () => {
    let heads = await inParallel(range(IDENTITIES), async (n) => await account(`race-${n}`))
    const wins = { first: 0, second: 0 }
    const begun = performance.now()
    for (let round = 0; round < ROUNDS; round += 1) {
      heads = await inParallel(heads, async (head, n) => {
        const firstSent = (n + round) % 2 === 0 ? 0 : 1
        const winner = await race(head, `${n}-${round}`, firstSent)
        wins[winner.at === firstSent ? 'first' : 'second'] += 1
        return winner.head
      })
    }
    const seconds = (performance.now() - begun) / 1000
    process.stdout.write(
      `${RACES} races in ${seconds.toFixed(1)} s; won by the request sent first: ${wins.first}, by the other: ${wins.second}\n`,
    )

    expect(wins.first + wins.second).toBe(RACES)
    // Otherwise nothing raced.
    expect(wins.second).toBeGreaterThan(0)
    expect(await findingsOf(pool, released)).toEqual([])
  },
)

test.concurrent(
  'the same operation at both instances at once: one signature for both',
  { timeout: 60_000 },
  async () => {
    const heads = await inParallel(range(50), async (n) => await account(`same-${n}`))
    await inParallel(heads, async (head, n) => {
      const operation = renamed(head, `same-${n}-1`)
      const answers = await Promise.all(callers.map(async (caller) => await caller.sign(operation)))
      const settled = await ask(0, operation)

      expect(settled.status).toBe(200)
      for (const answer of answers) {
        const busy = { status: 400, code: 'ThrottlingException', message: expect.any(String) }
        expect(answer).toEqual(answer.status === 200 ? settled : busy)
      }
    })
    expect(await findingsOf(pool, released)).toEqual([])
  },
)

test.concurrent('of 30 departures at once, at both instances, the limit for all lets 20 through', async () => {
  const heads = await inParallel(range(30), async (n) => await account(`leaver-${n}`))
  const elsewhere = (await keyNamed('elsewhere')).did()
  const answers = await Promise.all(
    heads.map(async (head, n) => await ask(n % 2 === 0 ? 0 : 1, departureOf(head, [elsewhere]))),
  )
  const denied = answers.filter((answer) => answer.status !== 200)

  expect(answers.filter(({ status }) => status === 200)).toHaveLength(20)
  for (const answer of denied) {
    expect(answer).toMatchObject({
      code: 'AccessDeniedException',
      message: expect.stringContaining('DEPARTURE'),
    })
  }
  expect(await findingsOf(pool, released)).toEqual([])
})

test.concurrent.each([
  { when: 'before', title: 'before its key use' },
  { when: 'during', title: 'after its key use' },
] as const)(
  'the first claimant is killed $title: its rival at the other instance gets through with the lease’s end',
  { timeout: 60_000 },
  async ({ when }) => {
    const head = await account(`killed-${when}`)
    const first = renamed(head, `killed-${when}-1`)
    const rival = renamed(head, `killed-${when}-2`)
    const step = await stepOfKey()
    await crash({ ...orderFor(first), dieAt: { step, when } })
    const died = performance.now()
    const denied = await ask(1, rival)
    const answer = await until200(async () => await ask(1, rival))

    expect(denied).toMatchObject({ status: 400, code: 'AccessDeniedException' })
    expect('message' in denied && denied.message).toContain(await requestOf(first))
    expect(answer.status).toBe(200)
    expect(performance.now() - died).toBeLessThan(60_000)
    expect(await ask(0, first)).toMatchObject({ code: 'AccessDeniedException' })
    expect(await findingsOf(pool, released)).toEqual([])
  },
)

/** Two futures of one identity, asked for at the same moment, one at each instance. */
async function race(head: Signed, name: string, firstSent: 0 | 1) {
  const operations = [renamed(head, `${name}-a`), renamed(head, `${name}-b`)] as const
  const sends = [callers[0].prepare(operations[0]), callers[1].prepare(operations[1])] as const
  const answers: KmsAnswer[] = []
  await Promise.all(
    [firstSent, 1 - firstSent].map(async (at) => {
      answers[at] = await sends[at]!()
    }),
  )
  const won = answers.findIndex(({ status }) => status === 200)
  const [winner, loser] = [answers[won], answers[1 - won]]
  if (winner === undefined || !('compact' in winner) || loser === undefined) {
    throw new Error(`nobody won: ${JSON.stringify(answers)}`)
  }
  const operation = operations[won]!
  released.push({ digest: digestOf(operation), compact: winner.compact })
  expect(loser).toMatchObject({ status: 400, code: 'AccessDeniedException' })
  const message = 'message' in loser ? loser.message : ''
  expect(message).toContain('PREV-ONE-LIVE-SIGNATURE')
  expect(message).toContain(await requestOf(operation))
  return { at: won, head: signedWith(operation, winner.compact, head.did) }
}

async function ask(at: 0 | 1, operation: UnsignedOperation): Promise<KmsAnswer> {
  const answer = await callers[at].sign(operation)
  if ('compact' in answer) released.push({ digest: digestOf(operation), compact: answer.compact })
  return answer
}

async function account(name: string): Promise<Signed> {
  const genesis = genesisOf(name, [keyDid])
  const answer = await ask(0, genesis)
  if (!('compact' in answer)) throw new Error(`not signed: ${JSON.stringify(answer)}`)
  return signedWith(genesis, answer.compact)
}

/** The request of these bytes that was claimed. */
async function requestOf(operation: UnsignedOperation): Promise<string> {
  const { rows } = await pool.query<{ id: string }>(
    `select id from requests where digest = decode($1, 'hex') and state <> 'denied'`,
    [digestOf(operation)],
  )
  return rows[0]?.id ?? 'none'
}

function digestOf(operation: UnsignedOperation): string {
  return createHash('sha256').update(signingBytes(operation)).digest('hex')
}

function orderFor(operation: UnsignedOperation) {
  const message = Buffer.from(signingBytes(operation)).toString('base64')
  return { dataDir, databaseUrl: database.url, jobs: [{ message, logs: {} }] }
}

async function stepOfKey(): Promise<number> {
  const head = await account(`steps-${Math.random().toString(36).slice(2)}`)
  const [steps = []] = await dryRun(orderFor(renamed(head, 'steps')))
  return steps.indexOf('key')
}

async function until200(call: () => Promise<KmsAnswer>): Promise<KmsAnswer> {
  for (let attempt = 0; ; attempt += 1) {
    const answer = await call()
    if (answer.status === 200 || attempt === 200) return answer
    await sleep(100)
  }
}

/** The key that the first start made; a genesis must list it. */
async function developmentKeyDid(): Promise<string> {
  const text = await readFile(join(dataDir, 'keys', 'pds.json'), 'utf8')
  return (JSON.parse(text) as { did: string }).did
}

const range = (count: number) => Array.from({ length: count }, (_, n) => n)

async function inParallel<T, R>(
  items: readonly T[],
  work: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = []
  let next = 0
  const worker = async () => {
    for (let index = next++; index < items.length; index = next++) {
      results[index] = await work(items[index]!, index)
    }
  }
  await Promise.all(range(AT_ONCE).map(worker))
  return results
}
