import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { createPace } from '../../src/campaign/pace.ts'
import { submitRecovery } from '../../src/campaign/submit-recovery.ts'
import type { SubmitRecoveryDeps } from '../../src/campaign/submit-recovery.ts'
import type { Ledger } from '../../src/campaign/ledger.ts'
import { createPlcDirectory } from '../../src/directory/plc-http.ts'
import { createPlcSubmit } from '../../src/directory/plc-submit.ts'
import type { SubmitOperation } from '../../src/directory/submit.ts'
import { openVerifier } from '../../src/ecdsa/native.ts'
import {
  attachSignature,
  cidOf,
  encodeSignedOperation,
  signingBytes,
} from '../../src/plc/encode.ts'
import { judgeAccount } from '../../src/recovery/derive.ts'
import { createDatabase, createPool } from '../../src/store/database.ts'
import type { Database } from '../../src/store/database.ts'
import {
  beginImport,
  createLedger,
  endImport,
  keepImported,
  listAccounts,
} from '../../src/store/recovery-ledger.ts'
import { startDirectory } from '../e2e/support/directory.ts'
import type { Fault, TestDirectory } from '../e2e/support/directory.ts'
import { createTestDatabase } from '../support/postgres.ts'
import type { TestDatabase } from '../support/postgres.ts'
import { makeAccount, recoveryKeys } from '../support/recovery.ts'

// The ledger is real and so is the database; the directory judges by code of its own and fails on order.

const keys = await recoveryKeys()
const { verify } = openVerifier()

const CEREMONY = '00112233445566778899aabbccddeeff'
const COUNT = 4

let database: TestDatabase
let db: Database
let directory: TestDirectory
let serial = 0

beforeAll(async () => {
  database = await createTestDatabase()
  db = createDatabase(createPool(database.connection))
})
afterAll(async () => {
  await db.$client.end()
  await database.drop()
})

let ceremony: string
let dids: string[]

beforeEach(async () => {
  directory = await startDirectory()
  serial += 1
  ceremony = `${CEREMONY.slice(0, -4)}${String(serial).padStart(4, '0')}`
  dids = []
  const rows = []
  for (let index = 0; index < COUNT; index += 1) {
    const account = await makeAccount('renamed', 100 * serial + index, keys)
    if (!('log' in account)) throw new Error('no log')
    const log = account.log as { createdAt: string }[]
    directory.load(log.map((row) => ({ ...row, createdAt: new Date(row.createdAt) })) as never)
    const named = { lost: keys.lost.did, recovery: keys.recovery.did, did: keys.replacement.did }
    const derived = await judgeAccount(account, named, verify)
    if (derived.kind === 'excluded') throw new Error(derived.reason)
    const compact = await keys.recovery.sign(derived.bytes)
    const operation = attachSignature(derived.operation, compact)
    const bytes = encodeSignedOperation(operation)
    const { did } = derived
    rows.push({ did, prev: derived.operation.prev, cid: cidOf(operation), bytes })
    dids.push(did)
  }
  const digest = new Uint8Array(32)
  await beginImport(db, { id: ceremony, intent: '{}', result: digest })
  await keepImported(db, ceremony, rows)
  const operations = COUNT
  await endImport(db, {
    kind: 'ceremony.imported',
    ceremony,
    intent: digest,
    result: digest,
    operations,
  })
})
afterEach(async () => await directory.stop())

const depsOf = (ledger: Ledger = createLedger(db)): SubmitRecoveryDeps => ({
  ledger,
  directory: createPlcDirectory(directory.url),
  submit: createPlcSubmit(directory.url),
  pace: createPace(10_000),
  clock: { now: () => performance.now(), sleep: async () => {} },
  verify,
})

async function run(deps = depsOf()): Promise<void> {
  const signal = new AbortController().signal
  await submitRecovery(deps, { ceremony, report: () => {}, signal })
}

const states = async () => await createLedger(db).counts(ceremony)

/** One operation more for each account, and none taken out. */
function expectAllSaved(): void {
  for (const did of dids) {
    const entries = directory.entries(did)
    expect(entries).toHaveLength(3)
    expect(entries.some(({ nullified }) => nullified)).toBe(false)
    expect(entries.at(-1)?.operation).toHaveProperty('rotationKeys', [
      keys.recovery.did,
      keys.replacement.did,
    ])
  }
}

test('each is sent once and observed', async () => {
  await run()
  expect(await states()).toMatchObject({ observed: COUNT })
  expectAllSaved()
})

test.each([
  'refuse',
  'hang',
  'accept and hang',
  'accept and fail',
  'too many',
] satisfies Fault['mode'][])(
  'a submission that meets "%s" is looked for, and nothing is sent twice',
  async (mode) => {
    directory.fail({ on: 'submit', mode, times: 1 })
    const submit: SubmitOperation = async (recorded) =>
      await createPlcSubmit(directory.url)(recorded, AbortSignal.timeout(500))
    await run({ ...depsOf(), submit })
    expect(await states()).toMatchObject({ observed: COUNT })
    expectAllSaved()
  },
)

/** The user changes the handle again and again, and the head moves with it. */
async function goOn(did: string, times: number): Promise<void> {
  for (let index = 0; index < times; index += 1) {
    const head = directory.entries(did).at(-1)!
    const { sig: _, ...before } = head.operation as { sig: string } & Record<string, unknown>
    const operation = { ...before, alsoKnownAs: [`at://n${index}.example.com`], prev: head.cid }
    const signed = attachSignature(
      operation as never,
      await keys.lost.sign(signingBytes(operation as never)),
    )
    await fetch(`${directory.url}/${did}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(signed),
    })
  }
}

class Died extends Error {}

/** A ledger and a directory's door that end the run at the given step: before it, or once it is done. */
function dying(at: number, when: 'before' | 'after') {
  let steps = 0
  const step = async <T>(work: () => Promise<T>): Promise<T> => {
    const own = (steps += 1)
    if (own === at && when === 'before') throw new Died()
    const result = await work()
    if (own === at) throw new Died()
    return result
  }
  const real = createLedger(db)
  const deps = depsOf({
    ...real,
    keep: async (...args) => await step(async () => await real.keep(...args)),
  })
  const submit: SubmitOperation = async (...args) =>
    await step(async () => await deps.submit(...args))
  return { deps: { ...deps, submit }, steps: () => steps }
}

test('a run that dies at any of its steps is taken up by the next: all saved, nothing sent twice', async () => {
  const counting = dying(0, 'before')
  await run(counting.deps)
  const steps = counting.steps()
  // Sending, sent, accepted, observed: four for each.
  expect(steps).toBe(4 * COUNT)
  for (const when of ['before', 'after'] as const) {
    for (let at = 1; at <= steps; at += 3) {
      await again()
      await expect(run(dying(at, when).deps)).rejects.toThrow(Died)
      await run()
      expect(await states(), `${when} step ${at}`).toMatchObject({ observed: COUNT })
      expectAllSaved()
    }
  }
})

async function again(): Promise<void> {
  await db.$client.query(
    `update ceremony_operations set state = 'planned' where ceremony = '${ceremony}'`,
  )
  const kept = dids.flatMap((did) => directory.entries(did).slice(0, 2))
  await directory.stop()
  directory = await startDirectory()
  directory.load(kept)
}

test('an account that went on is stale, with its new head named; it is not sent', async () => {
  const [did] = dids
  await goOn(did!, 2)
  await run()
  const head = directory.entries(did!).at(-1)!.cid
  const [stale] = await listAccounts(db, { ceremony, states: ['stale'], after: '', limit: 5 })
  expect(stale).toEqual({ did, state: 'stale', detail: `the head is ${head} now` })
})

test('an identity with ten operations in the hour waits for the next run after it', async () => {
  const [did] = dids
  const submit: SubmitOperation = async (recorded, signal) =>
    recorded.did === did
      ? { kind: 'refused', status: 400, message: 'To many operations within last hour (max 10)' }
      : await createPlcSubmit(directory.url)(recorded, signal)
  await run({ ...depsOf(), submit })
  expect(await states()).toMatchObject({ observed: COUNT - 1, planned: 1 })
  const ledger = createLedger(db)
  const query = { ceremony, states: ['planned'] as const, after: '', limit: 5 }
  expect(await ledger.list(query)).toEqual([])
})
