import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { folderAt } from '../../scripts/online/audit-export.ts'
import { verifyEd25519 } from '../../src/ed25519/openssl.ts'
import { exportLog } from '../../src/sequencer/export-log.ts'
import { entriesOf, openTestLog, testKey, wholeSizeOf } from '../support/audit-log.ts'
import type { MendOrder } from '../support/mend-crash-child.ts'
import { createTestDatabase, testServer } from '../support/postgres.ts'
import type { TestDatabase } from '../support/postgres.ts'

// kill -9 of `audit restore` and of `audit fork` at the first and last of each of its statements, before and while
// it is sent, and at the swap of the held record: the command is run again, and what it leaves is as if nothing had happened.

const child = fileURLToPath(new URL('../support/mend-crash-child.ts', import.meta.url))
const execute = promisify(execFile)
const key = testKey.export({ type: 'pkcs8', format: 'pem' }).toString()

let database: TestDatabase
let dir: string
let backup: string
const made: string[] = []

async function administer(statement: string): Promise<void> {
  const admin = new Client((await testServer()).administrator)
  await admin.connect()
  await admin.query(statement)
  await admin.end()
}

async function copyOf(name: string): Promise<string> {
  const copy = `mend_${randomBytes(8).toString('hex')}`
  made.push(copy)
  await administer(`create database ${copy} template ${name} owner ${database.owner.user}`)
  return copy
}

/** 6 entries in the backup, 300 more in the held record and the export: a tile fills on the way. */
beforeAll(async () => {
  database = await createTestDatabase()
  dir = await mkdtemp(join(tmpdir(), 'holdfast-mend-'))
  const heldDir = join(dir, 'held')
  await cp(await mkdtemp(join(tmpdir(), 'holdfast-none-')), heldDir, { recursive: true })
  const before = await openTestLog(database, { heldDir })
  await before.append(5)
  await before.settle()
  await before.close()
  backup = await copyOf(database.connection.database)
  const after = await openTestLog(database, { heldDir })
  await after.settle()
  await after.append(300)
  await after.settle()
  const held = (await after.held.read())!
  if (held.size !== 306) throw new Error(`${held.size} entries are no 306`)
  await writeFile(join(heldDir, 'lost'), Buffer.from(held.root).toString('hex'))
  await exportLog(after.store, folderAt(join(dir, 'export')), {
    key: after.signerFor(held.origin).key,
    verify: verifyEd25519,
    progress: () => {},
  })
  await after.close()
})
afterAll(async () => {
  for (const name of made) await administer(`drop database if exists ${name} with (force)`)
  await database.drop()
  await rm(dir, { recursive: true })
})

type Deed = 'restore' | 'fork'
type Place = { readonly order: Omit<MendOrder, 'dieAt'>; readonly database: TestDatabase }

/** The backup on a fresh host, beside the held record of today. */
async function place(deed: Deed): Promise<Place> {
  const name = await copyOf(backup)
  const heldDir = await mkdtemp(join(dir, 'held-'))
  await cp(join(dir, 'held'), heldDir, { recursive: true })
  const on = <T extends object>(connection: T) => ({ ...connection, database: name })
  const restored = {
    ...database,
    connection: on(database.connection),
    administrator: on(database.administrator),
  }
  const { connection, administrator } = restored
  const exported = deed === 'restore' ? join(dir, 'export') : null
  return {
    database: restored,
    order: { database: { connection, administrator }, heldDir, key, exported },
  }
}

async function run(order: MendOrder) {
  const { stdout } = await execute(process.execPath, [child, JSON.stringify(order)], {
    env: {
      PATH: process.env['PATH'],
      NODE_COMPILE_CACHE: join(tmpdir(), 'holdfast-compile-cache'),
    },
  })
  return JSON.parse(stdout) as { kind: string; taken: string[] }
}

/** Until the dead process's session is gone, and its lock with it. */
async function runAgain(order: MendOrder) {
  for (let tries = 0; ; tries += 1) {
    const done = await run(order)
    if (done.kind !== 'busy' || tries === 50) return done.kind
  }
}

/** The log as whoever opens it next finds it. */
async function found({ database: of, order: { heldDir } }: Place) {
  const next = await openTestLog(of, { heldDir })
  await next.settle()
  const entries = await entriesOf(next.pool)
  const kinds = entries.map(({ body }) => body['kind'])
  const state = {
    size: await wholeSizeOf(next),
    cause: next.gate.cause(),
    mended: kinds.filter((kind) => kind === 'database.restored' || kind === 'log.forked').length,
    about: new Set(entries.map(({ body }) => body['did'] ?? body['store'])).size,
  }
  await next.close()
  return state
}

/** What only reads is the same before and after. */
const writes = ['insert', 'update', 'delete', 'commit', 'swap', 'holdfast_log_append']

const wanted = {
  restore: { size: 307, cause: null, mended: 1, about: 307 },
  fork: { size: 7, cause: null, mended: 1, about: 7 },
}

describe.each(['restore', 'fork'] as const)('an audit %s', (deed) => {
  test(
    'that is killed at any step is run again, and leaves one log',
    { timeout: 300_000 },
    async () => {
      const dry = await place(deed)
      const { kind, taken } = await run({ ...dry.order, dieAt: null })
      expect(kind).toBe(deed === 'restore' ? 'restored' : 'forked')
      expect(taken).toContain('commit')
      expect(await found(dry)).toEqual(wanted[deed])
      const steps = taken
        .map((name, step) => ({ name, step }))
        .filter(({ name, step }) => [taken.indexOf(name), taken.lastIndexOf(name)].includes(step))
      for (const { step, name } of steps) {
        for (const when of writes.includes(name)
          ? (['before', 'during'] as const)
          : (['before'] as const)) {
          const here = await place(deed)
          const order = { ...here.order, dieAt: { step, when } }
          const ended = await run(order).catch((error: Error & { signal?: string }) => error)
          expect(ended).toMatchObject({ signal: 'SIGKILL' })
          const again = await runAgain({ ...here.order, dieAt: null })
          // Where the last word was on its way when it died, it is done already.
          expect(['restored', 'forked', 'nothing-missing', 'nothing-lost']).toContain(again)
          expect({ at: `${when} ${step} ${name}`, ...(await found(here)) }).toEqual({
            at: `${when} ${step} ${name}`,
            ...wanted[deed],
          })
        }
      }
    },
  )
})
