import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client, Pool } from 'pg'
import { inject } from 'vitest'
import { migrate } from '../../src/store/migrate.ts'
import { openPrivateServer } from '../../src/store/private-server.ts'
import type { PrivateConnection, PrivateServer } from '../../src/store/private-server.ts'
import { silentLog } from './data-dir.ts'

export type TestDatabase = {
  /** as the application's role */
  connection: PrivateConnection
  /** the same, for programs that take a URL */
  url: string
  /** as the owner of the schema */
  owner: PrivateConnection
  /** as Postgres's superuser */
  administrator: PrivateConnection
  drop(): Promise<void>
}

const template = 'holdfast_template'
const templateLock = 0x74706c74

let opened: Promise<PrivateServer> | null = null

/** The run's Postgres (real, fsync on). Never released here: it serves the files that follow. */
export function testServer(): Promise<PrivateServer> {
  opened ??= open()
  return opened
}

/** A database of this test's own, with the migrated schema. Copying the template takes about 50 ms. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const server = await testServer()
  const database = `test_${randomBytes(8).toString('hex')}`
  await administer(server, (admin) =>
    admin.query(`CREATE DATABASE ${database} TEMPLATE ${template} OWNER ${server.owner.user}`),
  )
  return {
    ...connectionTo(server, database),
    drop: () =>
      administer(server, async (admin) => {
        await untilLeft(admin, database)
        await admin.query(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`)
      }),
  }
}

/**
 * A pool's end does not wait for Postgres to have closed its sessions, and an error that reaches such a
 * connection then belongs to nobody. Whoever stays longer is thrown out.
 */
async function untilLeft(admin: Client, database: string): Promise<void> {
  for (let look = 0; look < 100; look += 1) {
    const sessions = 'SELECT 1 FROM pg_stat_activity WHERE datname = $1'
    if ((await admin.query(sessions, [database])).rowCount === 0) return
    await sleep(20)
  }
}

/** A superuser's connections: who can change any row. */
export function outsidePool({ administrator }: TestDatabase): Pool {
  const pool = new Pool({ ...administrator, max: 2 })
  pool.on('error', () => {})
  // Dropping the database ends what the pool's own end has not closed yet.
  pool.on('connect', (client) => client.on('error', () => {}))
  return pool
}

function connectionTo(server: PrivateServer, database: string) {
  const url = new URL(server.url)
  url.pathname = `/${database}`
  return {
    connection: { ...server.connection, database },
    url: url.href,
    owner: { ...server.owner, database },
    administrator: { ...server.administrator, database },
  }
}

async function open(): Promise<PrivateServer> {
  const server = await openPrivateServer({ dataDir: inject('postgresDataDir'), log: silentLog })
  await administer(server, (admin) => ensureTemplate(admin, server))
  return server
}

/** Files run at once: the first one makes the template, and its last name says that it is whole. */
async function ensureTemplate(admin: Client, server: PrivateServer): Promise<void> {
  await admin.query('SELECT pg_advisory_lock($1)', [templateLock])
  const found = await admin.query('SELECT 1 FROM pg_database WHERE datname = $1', [template])
  if (found.rowCount === 1) return
  const part = `${template}_part`
  await admin.query(`DROP DATABASE IF EXISTS ${part} WITH (FORCE)`)
  await admin.query(`CREATE DATABASE ${part} OWNER ${server.owner.user}`)
  await migrate({ ...server.owner, database: part }, server.connection.user)
  await admin.query(`ALTER DATABASE ${part} RENAME TO ${template}`)
}

async function administer<T>(
  server: PrivateServer,
  work: (admin: Client) => Promise<T>,
): Promise<T> {
  const admin = new Client(server.administrator)
  await admin.connect()
  try {
    return await work(admin)
  } finally {
    await admin.end()
  }
}
