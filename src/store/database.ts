import { drizzle } from 'drizzle-orm/node-postgres'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import { DatabaseError, Pool } from 'pg'
import type { PoolConfig } from 'pg'
import * as schema from './schema.ts'

export type Database = NodePgDatabase<typeof schema>
/** A transaction. Writing an audit entry requires one, so none can be written apart from its deed. */
export type Transaction = Parameters<Parameters<Database['transaction']>[0]>[0]

const POOL_SIZE = 16
/** How long a call waits for a connection before it answers "busy". */
const CONNECT_MS = 5_000

/**
 * Bounds on the server's side: a dead instance gives up its locks within seconds, and nothing waits
 * for ever. `synchronous_commit` is set because a role's default could say otherwise, and then a
 * committed intent would not be durable.
 */
const sessionOptions = [
  '-c statement_timeout=10000',
  '-c lock_timeout=5000',
  '-c idle_in_transaction_session_timeout=10000',
  '-c synchronous_commit=on',
].join(' ')

export function createPool(connection: PoolConfig): Pool {
  return new Pool({
    max: POOL_SIZE,
    connectionTimeoutMillis: CONNECT_MS,
    keepAlive: true,
    application_name: 'holdfast',
    ...connection,
    options: sessionOptions,
  })
}

export function createDatabase(pool: Pool): Database {
  return drizzle(pool, { schema })
}

/** Postgres's own code of an error, wherever drizzle has wrapped it; null when it has none. */
export function sqlState(error: unknown): string | null {
  for (let current = error; current instanceof Error; current = current.cause) {
    if (current instanceof DatabaseError) return current.code ?? null
  }
  return null
}
