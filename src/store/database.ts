import { drizzle } from 'drizzle-orm/node-postgres'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import { DatabaseError, Pool } from 'pg'
import type { PoolConfig } from 'pg'
import { StoreBusyError } from '../custody/ports.ts'
import * as schema from './schema.ts'

export type Database = NodePgDatabase<typeof schema> & { readonly $client: Pool }
/** A transaction. Writing an audit entry requires one, so none can be written apart from its deed. */
export type Transaction = Parameters<Parameters<Database['transaction']>[0]>[0]

const POOL_SIZE = 16
/** Longer than the server's own bounds: it ends a wait for a server that says nothing any more. */
const QUERY_MS = 15_000
/** How long a call waits for a connection before it answers "busy". */
const CONNECT_MS = 5_000

/**
 * Bounds on the server's side: a dead instance gives up its locks within seconds, and nothing waits
 * for ever. `synchronous_commit` is set because a role's default could say otherwise, and then a
 * committed intent would not be durable.
 */
const sessionOptions = [
  '-c statement_timeout=10000',
  '-c lock_timeout=2000',
  '-c idle_in_transaction_session_timeout=10000',
  '-c synchronous_commit=on',
  // Compiling a statement costs more than any of ours runs.
  '-c jit=off',
].join(' ')

export function createPool(connection: PoolConfig): Pool {
  const pool = new Pool({
    max: POOL_SIZE,
    connectionTimeoutMillis: CONNECT_MS,
    query_timeout: QUERY_MS,
    keepAlive: true,
    application_name: 'holdfast',
    ...connection,
    options: sessionOptions,
  })
  // The pool listens to idle connections only. One that is lost inside a transaction rejects its
  // next statement; its event, unheard, would end the process and every other call with it.
  pool.on('connect', (client) => client.on('error', () => {}))
  return pool
}

export function createDatabase(pool: Pool): Database {
  return drizzle(pool, { schema })
}

/** Postgres would not, or could not in time: lock, statement, connections, shutting down. */
const busyStates = new Set(['55P03', '57014', '53300', '57P01', '57P03', '40001', '40P01', '25P03'])

/**
 * Runs one piece of the store's work. That the database is overloaded or away is told apart from
 * every other failure: asking again may help.
 * @throws StoreBusyError
 */
export async function orBusy<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (isBusy(cause)) throw new StoreBusyError('the database cannot serve this now', { cause })
    throw cause
  }
}

function isBusy(error: unknown): boolean {
  for (let current = error; current instanceof Error; current = current.cause) {
    if (current instanceof DatabaseError) return busyStates.has(current.code ?? '')
    // pg's own words; it has no code for them.
    if (current.message.startsWith('timeout exceeded when trying to connect')) return true
    if (current.message === 'Query read timeout') return true
    if ('code' in current && (current.code === 'ECONNREFUSED' || current.code === 'ENOENT'))
      return true
  }
  return false
}
