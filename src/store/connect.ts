import type pg from 'pg'
import { apart } from './claim-snapshot.ts'
import { createDatabase, createPool } from './database.ts'
import type { Database } from './database.ts'
import { checkSchema, migrate, roleOf } from './migrate.ts'
import { openPrivateServer } from './private-server.ts'
import type { ServerLog } from './private-server.ts'

export type OpenDatabase = {
  readonly db: Database
  /** Proves that Postgres answers. */
  ping(): Promise<void>
  /** How far Postgres's clock is from this instance's, in milliseconds. */
  /** This instance's clock and Postgres's, and how far apart they are, in milliseconds. */
  clocks(): Promise<{ readonly instance: Date; readonly database: Date; readonly apart: number }>
  close(): Promise<void>
}

export type ConnectOptions = {
  readonly dataDir: string
  /** null: the private server in the data directory. */
  readonly databaseUrl: string | null
  /** Used for the migrations only, then closed and forgotten; null: the schema must be up to date. */
  readonly databaseOwnerUrl: string | null
  readonly log: ServerLog
  /** Tests pass one that dies between two statements. */
  readonly poolFor?: (connection: pg.PoolConfig) => pg.Pool
}

/**
 * Opens the database as the application and hands out the pool. Before that its owner brings the
 * schema up to date, where it is at hand.
 * @throws StoreError `schema`, `roles`
 */
export async function openDatabase(options: ConnectOptions): Promise<OpenDatabase> {
  const server = options.databaseUrl === null ? await openPrivateServer(options) : null
  const connection = server?.connection ?? { connectionString: options.databaseUrl ?? '' }
  try {
    await bringUpToDate(connection, server?.owner ?? ownerOf(options))
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
    clocks: async () => {
      const from = new Date()
      const { rows } = await pool.query<{ now: Date }>('select clock_timestamp() as now')
      const [row] = rows
      if (row === undefined) throw new TypeError('the clock has a row')
      const instance = new Date()
      return { instance, database: row.now, apart: apart(row.now, { from, to: instance }) }
    },
    close: async () => {
      await pool.end()
      await server?.release()
    },
  }
}

function ownerOf({ databaseOwnerUrl }: ConnectOptions): pg.ClientConfig | null {
  return databaseOwnerUrl === null ? null : { connectionString: databaseOwnerUrl }
}

async function bringUpToDate(
  application: pg.ClientConfig,
  owner: pg.ClientConfig | null,
): Promise<void> {
  if (owner === null) return await checkSchema(application)
  await migrate(owner, await roleOf(application))
}
