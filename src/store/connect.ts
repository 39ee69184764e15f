import type pg from 'pg'
import { createDatabase, createPool } from './database.ts'
import type { Database } from './database.ts'
import { migrate } from './migrate.ts'
import { openPrivateServer } from './private-server.ts'
import type { ServerLog } from './private-server.ts'

export type OpenDatabase = {
  readonly db: Database
  /** Proves that Postgres answers. */
  ping(): Promise<void>
  close(): Promise<void>
}

export type ConnectOptions = {
  readonly dataDir: string
  /** null: the private server in the data directory. */
  readonly databaseUrl: string | null
  /** Used for the migrations only, then closed and forgotten; null: `databaseUrl` migrates. */
  readonly databaseOwnerUrl: string | null
  readonly log: ServerLog
  /** Tests pass one that dies between two statements. */
  readonly poolFor?: (connection: pg.PoolConfig) => pg.Pool
}

/** Opens the database, brings its schema up to date first, and hands out the pool. */
export async function openDatabase(options: ConnectOptions): Promise<OpenDatabase> {
  const server = options.databaseUrl === null ? await openPrivateServer(options) : null
  const connection = server?.connection ?? { connectionString: options.databaseUrl ?? '' }
  try {
    await migrate(
      options.databaseOwnerUrl === null
        ? connection
        : { connectionString: options.databaseOwnerUrl },
    )
  } catch (error) {
    await server?.release()
    throw error
  }
  const pool = (options.poolFor ?? createPool)(connection)
  // An idle connection that the server drops is not an event for anybody: the pool makes another.
  pool.on('error', (error) =>
    options.log.warn({ error: error.message }, 'an idle database connection was lost'),
  )
  return {
    db: createDatabase(pool),
    ping: async () => {
      await pool.query('select 1')
    },
    close: async () => {
      await pool.end()
      await server?.release()
    },
  }
}
