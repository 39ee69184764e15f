import type { Socket } from 'node:net'
import { callbackify } from 'node:util'
import type { Pool, PoolClient } from 'pg'

/** One statement on its way to Postgres, by its own name or its verb and table: `update requests`. */
export type Statement = { readonly name: string; readonly sql: string; readonly client: PoolClient }

export type Watch = {
  /** A throw here means: not done. */
  before?(statement: Statement): Promise<void> | void
  /** A throw here means: done, but told failed. */
  after?(statement: Statement): Promise<void> | void
  /** Sends the statement, sooner or later or never. */
  around?<T>(name: string, send: () => Promise<T>): Promise<T>
}

type Query = (...args: unknown[]) => Promise<unknown>

/** Lets a test stand between a pool and its server. Call it before the pool is used. */
export function watchPool(pool: Pool, watch: Watch): Pool {
  pool.on('connect', (client) => {
    const send = client.query.bind(client) as unknown as Query
    const watched: Query = async (...args) => {
      const statement = statementOf(args[0], client)
      await watch.before?.(statement)
      const sendNow = async () => await send(...args)
      const result = await (watch.around?.(statement.name, sendNow) ?? sendNow())
      await watch.after?.(statement)
      return result
    }
    // pg-pool itself asks with a callback, drizzle for a promise.
    const called = callbackify(watched) as unknown as Query
    const query: Query = (...args) =>
      typeof args.at(-1) === 'function' ? called(...args) : watched(...args)
    Object.assign(client, { query })
  })
  return pool
}

/** The network takes the connection away, without a word from the server. */
export function cutConnection(client: PoolClient): void {
  const { connection } = client as unknown as { connection: { stream: Socket } }
  connection.stream.destroy()
}

function statementOf(query: unknown, client: PoolClient): Statement {
  const { text, name } =
    typeof query === 'string' ? { text: query } : (query as { text: string; name?: string })
  return { name: name ?? nameOf(text), sql: text, client }
}

function nameOf(sql: string): string {
  const verb = /^\s*(\w+)/.exec(sql)?.[1]?.toLowerCase() ?? ''
  if (sql.includes('pg_advisory')) return verb === 'begin' ? 'begin and lock' : 'lock'
  const table = /\b(?:from|into|update) "(\w+)"/i.exec(sql)?.[1]
  return table === undefined ? verb : `${verb} ${table}`
}
