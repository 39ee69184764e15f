import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from 'pg'
import { findBinaries, reachableBinaries } from './private-server-binaries.ts'
import type { Binaries } from './private-server-binaries.ts'
import { stopServer } from './private-server-postmaster.ts'
import { errorCode } from './private-server-error.ts'
import { findPlace } from './private-server-place.ts'
import type { Place } from './private-server-place.ts'
import { administrator, application, owner } from './private-server-roles.ts'
import { connectOrStart, connectionOf, useLock } from './private-server-start.ts'

/** What a `pg` client needs, over the Unix socket; there is no password. */
export type PrivateConnection = {
  host: string
  port: number
  user: string
  database: string
  ssl: false
}

export type PrivateServer = {
  /** the application's role on its own database */
  connection: PrivateConnection
  /** the same as a URL, for programs that take no other form */
  url: string
  /** the owner of that database, for migrations */
  owner: PrivateConnection
  /** the superuser of set-up, for what the application's role may not do */
  administrator: PrivateConnection
  /** Gives the server up; whoever does so last stops it. Close your own connections first. */
  release(): Promise<void>
}

export type ServerLog = {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
}

const stopLimit = 60_000
const reopenPauses = [100, 500, 2_000, 10_000, 30_000]

/**
 * Opens the private Postgres of `dataDir`: makes it, starts it, or finds it running. It stays up,
 * and comes back when it is killed, until the last user in any process releases it.
 *
 * @throws PrivateServerError, whose message says what to do
 */
export async function openPrivateServer(options: {
  dataDir: string
  log: ServerLog
}): Promise<PrivateServer> {
  const place = await findPlace(options.dataDir)
  const binaries = await reachableBinaries(await findBinaries(), place.accounts, place.folder)
  const use = new Use(place, binaries, options.log)
  await use.begin()
  const connection = connectionOf(place, application, application)
  options.log.info(
    { data: place.data, socket: place.socket, log: place.log, user: place.accounts.server.name },
    'private Postgres is up',
  )
  return {
    connection,
    url: urlOf(connection),
    owner: connectionOf(place, owner, application),
    administrator: connectionOf(place, administrator, 'postgres'),
    release: () => use.end(),
  }
}

function urlOf({ host, port, user, database }: PrivateConnection): string {
  return `postgresql://${user}@localhost:${port}/${database}?host=${encodeURIComponent(host)}`
}

/** One user's hold on the server: a connection with the shared lock, taken again when it breaks. */
class Use {
  readonly #place: Place
  readonly #binaries: Binaries
  readonly #log: ServerLog
  readonly #ending = new AbortController()
  #keeper: Client | null = null
  #reopening: Promise<void> | null = null
  #ended: Promise<void> | null = null

  constructor(place: Place, binaries: Binaries, log: ServerLog) {
    this.#place = place
    this.#binaries = binaries
    this.#log = log
  }

  async begin(): Promise<void> {
    const keeper = await connectOrStart(this.#place, this.#binaries)
    keeper.once('end', () => this.#broken(keeper))
    this.#keeper = keeper
  }

  end(): Promise<void> {
    this.#ended ??= this.#release()
    return this.#ended
  }

  #broken(keeper: Client): void {
    if (this.#keeper !== keeper || this.#ending.signal.aborted) return
    this.#keeper = null
    this.#log.warn({ log: this.#place.log }, 'private Postgres is gone; bringing it back')
    this.#reopening = this.#reopen()
  }

  async #reopen(): Promise<void> {
    for (let attempt = 0; !this.#ending.signal.aborted; attempt += 1) {
      try {
        await this.begin()
        this.#log.info({ data: this.#place.data }, 'private Postgres is back')
        return
      } catch (error) {
        this.#log.warn({ err: error }, 'private Postgres does not come back; trying again')
      }
      const pause = reopenPauses[Math.min(attempt, reopenPauses.length - 1)]
      await sleep(pause, undefined, { signal: this.#ending.signal, ref: false }).catch(
        () => undefined,
      )
    }
  }

  async #release(): Promise<void> {
    this.#ending.abort()
    await this.#reopening
    const keeper = this.#keeper
    if (keeper === null) return
    try {
      if (await isLast(keeper)) {
        await stopServer(this.#place, this.#binaries, stopLimit)
        this.#log.info({ data: this.#place.data }, 'private Postgres is stopped')
      }
    } finally {
      await keeper.end().catch(() => undefined)
    }
  }
}

/** True with the lock held alone: nobody begins to use the server until it is down. */
async function isLast(keeper: Client): Promise<boolean> {
  try {
    await keeper.query('SELECT pg_advisory_unlock_shared($1)', [useLock])
    const { rows } = await keeper.query('SELECT pg_try_advisory_lock($1) AS last', [useLock])
    return rows[0].last === true
  } catch (error) {
    // Gone already, with or without a word from the server.
    if (errorCode(error) === null || errorCode(error)?.startsWith('57P')) return false
    throw error
  }
}
