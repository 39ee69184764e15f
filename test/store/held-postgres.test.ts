import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { pino } from 'pino'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startJobs } from '../../src/jobs.ts'
import type { Jobs } from '../../src/jobs.ts'
import type { Held, HeldStore } from '../../src/sequencer/held.ts'
import { createPool } from '../../src/store/database.ts'
import { openHeldPostgres } from '../../src/store/held-postgres.ts'
import { openPrivateServer } from '../../src/store/private-server.ts'
import type { PrivateServer } from '../../src/store/private-server.ts'
import { removeDataDir, silentLog } from '../support/data-dir.ts'
import { openInstance } from '../support/instance.ts'
import type { Instance } from '../support/instance.ts'
import { genesisOf } from '../support/operations.ts'
import { createTestDatabase } from '../support/postgres.ts'
import type { TestDatabase } from '../support/postgres.ts'

// The held record on another Postgres server than the database: two real servers.

let database: TestDatabase
let other: PrivateServer
let otherDir: string
let url: string

beforeAll(async () => {
  database = await createTestDatabase()
  otherDir = await mkdtemp(join(tmpdir(), 'holdfast-held-'))
  other = await openPrivateServer({ dataDir: otherDir, log: silentLog })
  const asOwner = new URL(other.url)
  asOwner.username = other.owner.user
  url = asOwner.href
})
afterAll(async () => {
  await other.release()
  await removeDataDir(otherDir)
  await database.drop()
})
beforeEach(async () => await onOther('drop table if exists holdfast_held'))

async function onOther(statement: string): Promise<void> {
  const client = new Client(other.owner)
  await client.connect()
  await client.query(statement)
  await client.end()
}

const first: Held = {
  storeId: randomUUID(),
  origin: 'localhost/audit/test',
  size: 0,
  root: new Uint8Array(32),
  trust: null,
  frozen: [],
}
const grown = (held: Held, size = held.size + 1): Held => ({ ...held, size })

describe('the held record on another server', () => {
  const stores: HeldStore[] = []
  afterEach(async () => {
    for (const store of stores.splice(0)) await store.close()
  })

  async function open(): Promise<HeldStore> {
    const pool = createPool(database.connection)
    const store = await openHeldPostgres(url, pool)
    await pool.end()
    stores.push(store)
    return store
  }

  test('is not made by reading, is made once, and swapped only from what it is', async () => {
    const store = await open()
    expect(await store.read()).toBeNull()
    await store.create(first)
    await expect(store.create(first)).rejects.toMatchObject({ code: 'conflict' })
    await store.replace(first, grown(first))
    await expect(store.replace(first, grown(first, 9))).rejects.toMatchObject({ code: 'conflict' })
    expect(await (await open()).read()).toEqual(grown(first))
  })

  test('is swapped by one of any that try at once', async () => {
    const all = await Promise.all(Array.from({ length: 4 }, open))
    let held = await all[0]!.create(first)
    for (let round = 0; round < 25; round += 1) {
      const tries = await Promise.allSettled(
        all.map(
          async (store, index) => await store.replace(held, grown(held, held.size + 1 + index)),
        ),
      )
      const won = tries.filter((one) => one.status === 'fulfilled')
      expect(won).toHaveLength(1)
      held = won[0]!.value
      expect(await all[round % 4]!.read()).toEqual(held)
    }
  })

  test('is refused on the server of the database itself', async () => {
    const pool = createPool(database.connection)
    const same = openHeldPostgres(database.url, pool)
    await expect(same).rejects.toThrow('is on the same Postgres server as the database')
    await pool.end()
  })

  test('is not believed when it is not one of ours', async () => {
    const store = await open()
    await store.create(first)
    await onOther(`update holdfast_held set record = replace(record, '"size": 0', '"size": -1')`)
    await expect(store.read()).rejects.toMatchObject({ code: 'unreadable' })
  })
})

describe('two instances that hold it there', () => {
  let dataDir: string
  let instances: { service: Instance; jobs: Jobs }[]

  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'holdfast-two-'))
    instances = []
    for (let count = 0; count < 2; count += 1) {
      const options = { dataDir, databaseUrl: database.url, checkpointStoreUrl: url }
      const service = await openInstance(options)
      instances.push({ service, jobs: startJobs(service.context, pino({ level: 'silent' })) })
    }
  })
  afterEach(async () => {
    for (const { service, jobs } of instances) {
      await jobs.stop()
      await service.close()
    }
    await rm(dataDir, { recursive: true })
  })

  const sizeHeld = async ({ service }: { service: Instance }) =>
    (await service.context.auditLog.held.read())?.size ?? 0

  test('hand the log over, and stop together while it is away', async () => {
    const [one, two] = [instances[0]!, instances[1]!]
    expect((await one.service.sign(genesisOf('first', [one.service.key.did]))).kind).toBe('signed')
    await expect.poll(async () => await sizeHeld(two)).toBeGreaterThan(2)
    await one.jobs.stop()
    await one.service.close()
    instances.shift()
    const before = await sizeHeld(two)
    expect((await two.service.sign(genesisOf('second', [two.service.key.did]))).kind).toBe('signed')
    await expect.poll(async () => await sizeHeld(two)).toBeGreaterThan(before)

    await onOther('alter table holdfast_held rename to holdfast_away')
    const cause = () => two.service.context.auditLog.gate.cause()
    await expect.poll(cause).toBe('the held record is gone')
    const stopped = await two.service.sign(genesisOf('third', [two.service.key.did]))
    expect(stopped).toMatchObject({ kind: 'busy' })
    await onOther('alter table holdfast_away rename to holdfast_held')
    await expect.poll(cause).toBeNull()

    await other.release()
    await expect.poll(cause, { timeout: 15_000 }).toBe('the held record cannot be read')
    other = await openPrivateServer({ dataDir: otherDir, log: silentLog })
    await expect.poll(cause, { timeout: 15_000 }).toBeNull()
    expect((await two.service.sign(genesisOf('fourth', [two.service.key.did]))).kind).toBe('signed')
  })
})
