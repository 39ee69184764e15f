import { join } from 'node:path'
import { Client } from 'pg'
import { openPrivateServer } from '../../../src/store/private-server.ts'
import { silentLog } from '../../support/data-dir.ts'
import { startMain } from './child.ts'
import type { Child } from './child.ts'

/** The npm `@did-plc/server` 0.0.1 (2023): the real rules of rotation and nullification over real
 *  Postgres, but no size limits, no rate limits, no `seq` and no stream; `directory.ts` has those. */
export type PlcServer = {
  url: string
  child: Child
  /** A genesis of the old form: the directory has many for ever, and takes no new one. */
  putLegacy(entry: { did: string; operation: object; cid: string; createdAt: Date }): Promise<void>
  stop(): Promise<void>
}

/** Starts it in a process of its own, on a Postgres of its own below `dir`. */
export async function startPlcServer(dir: string): Promise<PlcServer> {
  const database = await openPrivateServer({ dataDir: join(dir, 'plc'), log: silentLog })
  try {
    // It makes its own tables, so it comes as the owner of the database.
    const url = new URL(database.url)
    url.username = database.owner.user
    const { child, port } = await startMain({
      args: [join(import.meta.dirname, 'plc-main.ts')],
      env: { DATABASE_URL: url.href, LOG_ENABLED: 'true', LOG_LEVEL: 'info' },
      cwd: dir,
      logFile: join(dir, 'plc.log'),
      readyMs: 30_000,
    })
    const stop = async (): Promise<void> => {
      await child.stop()
      await database.release()
    }
    // `localhost`, since the PDS's own fetch refuses an IP address even in development mode
    const putLegacy: PlcServer['putLegacy'] = async ({ did, operation, cid, createdAt }) => {
      const client = new Client({ connectionString: url.href })
      await client.connect()
      try {
        await client.query(
          `INSERT INTO operations (did, operation, cid, nullified, "createdAt")
            VALUES ($1, $2, $3, false, $4)`,
          [did, JSON.stringify(operation), cid, createdAt],
        )
      } finally {
        await client.end()
      }
    }
    return { url: `http://localhost:${port}`, child, putLegacy, stop }
  } catch (error) {
    await database.release()
    throw error
  }
}
