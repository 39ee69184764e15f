import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import type { Binaries } from './private-server-binaries.ts'
import { ensureCluster } from './private-server-cluster.ts'
import { failure, isTransient } from './private-server-failure.ts'
import { port, startServer } from './private-server-postmaster.ts'
import { PrivateServerError, errorCode } from './private-server-error.ts'
import type { Place } from './private-server-place.ts'
import type { Started } from './private-server-program.ts'
import { administrator, application, ensureRoles, rolesAreThere } from './private-server-roles.ts'
import type { owner } from './private-server-roles.ts'
import { removeStaleLock } from './private-server-stale.ts'

/** Crash recovery of a large log takes minutes; a start that shows no life takes this long at most. */
const startLimit = 180_000
const connectLimit = 10_000
const lockLimit = 20_000
const longestPause = 250

export type Role = typeof owner | typeof application | typeof administrator

export function connectionOf(place: Place, user: Role, database: string) {
  // `ssl` is given because PGSSLMODE in the environment would else ask a Unix socket for TLS.
  return { host: place.socket, port, user, database, ssl: false } as const
}

/** Every user of the server holds this advisory lock shared; who stops it holds it alone. */
export const useLock = 0x75736564

/**
 * One connection of the application's role that holds the use lock, to the server that runs or to
 * one that this call starts. Roles and database exist when it returns.
 */
export async function connectOrStart(place: Place, binaries: Binaries): Promise<Client> {
  const start = new Start(place, binaries)
  const deadline = Date.now() + startLimit
  for (let pause = 20; ; pause = Math.min(pause * 1.5, longestPause)) {
    const answer = await beginUse(place)
    if (answer instanceof Client) return answer
    switch (answer.kind) {
      case 'absent':
        await start.step()
        break
      case 'busy':
        break
      case 'no-role':
      case 'refused':
        throw refused(place, answer.cause)
    }
    if (Date.now() > deadline) throw await start.gaveUp(answer.cause)
    await sleep(pause)
  }
}

async function beginUse(place: Place): Promise<Client | NoConnection> {
  let keeper = await connect(place, application)
  if (!(keeper instanceof Client) && keeper.kind === 'no-role') {
    const lacking = await makeRoles(place)
    keeper = lacking ?? (await connect(place, application))
  }
  if (!(keeper instanceof Client)) return keeper
  try {
    await keeper.query('SELECT pg_advisory_lock_shared($1)', [useLock])
    const found = await keeper.query(rolesAreThere)
    const lacking = found.rowCount === 1 ? null : await makeRoles(place)
    if (lacking === null) return keeper
    await keeper.end()
    return lacking
  } catch (cause) {
    await keeper.end()
    return again(cause)
  }
}

/** @returns null when they are made, else why it must be tried again */
async function makeRoles(place: Place): Promise<NoConnection | null> {
  const admin = await connect(place, administrator)
  if (!(admin instanceof Client)) return admin
  try {
    await ensureRoles(admin, (statement) => inDatabase(place, statement))
    return null
  } catch (cause) {
    return again(cause)
  } finally {
    await admin.end()
  }
}

/** A statement of the superuser's in the application's database. */
async function inDatabase(place: Place, statement: string): Promise<void> {
  const admin = new Client(connectionOf(place, administrator, application))
  admin.on('error', () => undefined)
  try {
    await admin.connect()
    await admin.query(statement)
  } finally {
    await admin.end()
  }
}

/** The last user may stop the server while we begin; whatever else went wrong is no matter of time. */
function again(cause: unknown): NoConnection {
  const code = errorCode(cause)
  if (code === null || /^(57P|08|55P03|E[A-Z]+$)/.test(code)) return { kind: 'busy', cause }
  throw cause
}

type NoConnection = { kind: 'absent' | 'busy' | 'no-role' | 'refused'; cause: unknown }

async function connect(place: Place, user: Role): Promise<Client | NoConnection> {
  const client = new Client({
    ...connectionOf(place, user, 'postgres'),
    connectionTimeoutMillis: connectLimit,
    lock_timeout: lockLimit,
    application_name: 'holdfast keeper',
  })
  // A server that ends while we wait reports it here too; the query in progress rejects anyway.
  client.on('error', () => undefined)
  try {
    await client.connect()
    return client
  } catch (cause) {
    await client.end()
    return { kind: classify(cause), cause }
  }
}

function classify(error: unknown): NoConnection['kind'] {
  const code = errorCode(error)
  if (code === 'ENOENT' || code === 'ECONNREFUSED') return 'absent'
  if (code === '28000' && /role .* does not exist/.test(String(error))) return 'no-role'
  if (code === 'EACCES' || code?.startsWith('28')) return 'refused'
  // Starting, stopping, full, or ended while answering: it may answer the next time.
  return 'busy'
}

function refused(place: Place, cause: unknown): PrivateServerError {
  return new PrivateServerError(
    'refused',
    `The private Postgres in ${place.data} does not let OS user ${place.accounts.service.name} in: it was ` +
      'started by another user, whose processes still use it. Run this command as that user, or stop them.',
    { cause },
  )
}

/** The server process of one attempt to come up; started again when it lost to another one. */
class Start {
  readonly #place: Place
  readonly #binaries: Binaries
  #started: Started | null = null
  #lastOutput = ''

  constructor(place: Place, binaries: Binaries) {
    this.#place = place
    this.#binaries = binaries
  }

  async step(): Promise<void> {
    if (this.#started !== null && !this.#started.exited) return
    if (this.#started !== null) {
      this.#lastOutput = await this.#started.output()
      // Without a word it was ended by someone else: a stop that met our start.
      const again = this.#lastOutput === '' || isTransient(this.#lastOutput)
      if (!again && !/shut(ting)? down/.test(this.#lastOutput)) throw this.#failed('start')
      await removeStaleLock(this.#place.data)
    }
    await ensureCluster(this.#place, this.#binaries)
    this.#started = await startServer(this.#place, this.#binaries)
  }

  async gaveUp(cause: unknown): Promise<PrivateServerError> {
    const output = (await this.#started?.output()) ?? this.#lastOutput
    const { message } = failure(output, {
      place: this.#place,
      code: 'start-failed',
      doing: `be reached within ${startLimit / 1_000} s`,
    })
    return new PrivateServerError('start-timeout', message, { cause })
  }

  #failed(doing: string): PrivateServerError {
    return failure(this.#lastOutput, { place: this.#place, code: 'start-failed', doing })
  }
}
