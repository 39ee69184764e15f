import { fileURLToPath } from 'node:url'
import { drizzle } from 'drizzle-orm/node-postgres'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import { migrate as applyMigrations } from 'drizzle-orm/node-postgres/migrator'
import { Client } from 'pg'
import type { ClientConfig } from 'pg'
import { StoreError } from './error.ts'
import { grantTo, journal, refuseOneRole } from './grant.ts'

const migrationsFolder = fileURLToPath(new URL('./migrations', import.meta.url))

/** Any fixed number: it names this lock among the advisory locks of this database. */
const MIGRATION_LOCK = 0x686f6c64

/**
 * Brings the schema up to date as its owner, and grants the application's role its rights. Two
 * instances that start at once take turns: the migrator itself takes no lock. Each migration is a
 * transaction, so a crash leaves the schema as one of them made it, and the next run grants.
 */
export async function migrate(owner: ClientConfig, application: string): Promise<void> {
  await withClient(owner, 'holdfast-migrate', async (client) => {
    await refuseOneRole(client, application)
    await client.query('set client_min_messages = warning')
    await client.query('select pg_advisory_lock($1)', [MIGRATION_LOCK])
    await applyMigrations(drizzle(client), { migrationsFolder })
    await grantTo(client, application)
  })
}

/** The role that a connection logs in as: what the owner grants to. */
export async function roleOf(connection: ClientConfig): Promise<string> {
  return await withClient(connection, 'holdfast-migrate', async (client) => {
    const { rows } = await client.query<{ role: string }>('select current_user as role')
    return rows[0]?.role ?? ''
  })
}

/**
 * Proves, as the application, that the schema is this version's: without its owner it cannot be
 * brought up to date.
 * @throws StoreError `schema`
 */
export async function checkSchema(application: ClientConfig): Promise<void> {
  const expected = readMigrationFiles({ migrationsFolder }).at(-1)?.hash
  const found = await withClient(application, 'holdfast-migrate', newestMigration)
  if (found === expected) return
  throw new StoreError(
    'schema',
    `DATABASE_URL: the database ${found === null ? 'has no schema that this role may use' : "has another version's schema"}; ` +
      'run "scripts/holdfast migrate" of this version with DATABASE_OWNER_URL set to its owner',
  )
}

/** Undefined table or schema, or no right to read it. */
const unreadable = new Set(['42P01', '3F000', '42501'])

async function newestMigration(client: Client): Promise<string | null> {
  try {
    const { rows } = await client.query<{ hash: string }>(
      `select hash from ${journal.schema}.${journal.table} order by created_at desc limit 1`,
    )
    return rows[0]?.hash ?? null
  } catch (error) {
    if (error instanceof Error && 'code' in error && unreadable.has(String(error.code))) return null
    throw error
  }
}

async function withClient<T>(
  connection: ClientConfig,
  name: string,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const client = new Client({ ...connection, application_name: name })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}
