import { randomBytes } from 'node:crypto'
import { chown, mkdir, open, readFile, readdir, rename, rmdir, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Binaries } from './private-server-binaries.ts'
import { PrivateServerError, errorCode } from './private-server-error.ts'
import type { Place } from './private-server-place.ts'
import { run, startDetached } from './private-server-program.ts'
import type { Started } from './private-server-program.ts'
import { administrator, loginRoles } from './private-server-roles.ts'

export const port = 5432

const initLimit = 300_000
const sweepAge = 15 * 60_000
const longestLog = 10_000_000

/**
 * Makes the data directory if there is none: initdb works beside it, and a rename puts it in place,
 * so a killed first start leaves nothing half-made and of two first starts one wins.
 */
export async function ensureCluster(place: Place, binaries: Binaries): Promise<void> {
  if (await isMade(place.data, binaries)) return
  await sweep(place)
  const { server, service } = place.accounts
  const part = `${place.data}.new-${randomBytes(6).toString('hex')}`
  await mkdir(part, { mode: 0o700 })
  if (service.uid !== server.uid) await chown(part, server.uid, server.gid)
  const { ok, output } = await run(join(binaries.folder, 'bin/initdb'), initArguments(part), {
    account: server,
    cwd: part,
    timeout: initLimit,
  })
  if (!ok) {
    await remove(part, place)
    throw failure(output, { place, code: 'start-failed', doing: 'make its data directory' })
  }
  await moveToPlace(part, place)
}

function initArguments(folder: string): string[] {
  return [
    `--pgdata=${folder}`,
    `--username=${administrator}`,
    '--auth=peer',
    '--encoding=UTF8',
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--data-checksums',
    '--no-instructions',
  ]
}

async function isMade(data: string, binaries: Binaries): Promise<boolean> {
  const version = await readFile(join(data, 'PG_VERSION'), 'utf8').catch((error) => {
    if (errorCode(error) === 'ENOENT') return null
    throw error
  })
  if (version?.trim() === binaries.major) return true
  if (version !== null) {
    throw new PrivateServerError(
      'version',
      `${data} was made by Postgres ${version.trim()}, and this Holdfast brings ${binaries.major}: ` +
        'start the Holdfast that made it, or move its contents over with pg_dump of that version.',
    )
  }
  const names = await readdir(data).catch(() => [])
  if (names.length === 0) return false
  throw new PrivateServerError(
    'damaged',
    `${data} is not a whole Postgres data directory (PG_VERSION is missing): ` +
      'bring it back from a backup, or move it away to start with an empty database.',
  )
}

async function moveToPlace(part: string, place: Place): Promise<void> {
  try {
    await rename(part, place.data)
    const parent = await open(dirname(place.data), 'r')
    await parent.sync()
    await parent.close()
  } catch (error) {
    await remove(part, place)
    // Another first start was quicker; its data directory is whole.
    if (errorCode(error) !== 'ENOTEMPTY' && errorCode(error) !== 'EEXIST') throw error
  }
}

/** Removes what killed first starts left; a younger one may still be at work. */
async function sweep(place: Place): Promise<void> {
  const parent = dirname(place.data)
  for (const name of await readdir(parent)) {
    if (!name.startsWith(`${basename(place.data)}.new-`)) continue
    const path = join(parent, name)
    const age = await stat(path).then(
      ({ mtimeMs }) => Date.now() - mtimeMs,
      () => 0,
    )
    if (age > sweepAge) await remove(path, place)
  }
}

/** Its contents belong to the server's account, so root does not walk into them itself. */
async function remove(path: string, place: Place): Promise<void> {
  const account = place.accounts.server
  await run('rm', ['-rf', '--', path], { account, cwd: '/', timeout: 60_000 })
  await rmdir(path).catch(() => undefined)
}

/** Starts the server process; whether it came up shows only when one can connect. */
export async function startServer(place: Place, binaries: Binaries): Promise<Started> {
  await writeAccess(place)
  await rotateLog(place.log)
  const settings: Record<string, string> = {
    listen_addresses: '',
    port: String(port),
    unix_socket_directories: `"${place.socket.replaceAll('"', '""')}"`,
    unix_socket_permissions: '0700',
    hba_file: join(place.access, 'pg_hba.conf'),
    ident_file: join(place.access, 'pg_ident.conf'),
    fsync: 'on',
    full_page_writes: 'on',
    synchronous_commit: 'on',
    log_destination: 'stderr',
    logging_collector: 'off',
    log_checkpoints: 'off',
    // An error's detail and its statement can hold rows; the log is for the server's own troubles.
    log_error_verbosity: 'terse',
    log_min_error_statement: 'panic',
  }
  const given = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  return startDetached(join(binaries.folder, 'bin/postgres'), ['-D', place.data, ...given], {
    account: place.accounts.server,
    cwd: place.data,
    log: place.log,
  })
}

/**
 * Only the service's own OS user gets in, and the kernel says who that is: no password, no trust.
 * The files lie outside the data directory, for root must not write where another user may plant a
 * link, and are written anew at each start.
 */
async function writeAccess({ access, accounts }: Place): Promise<void> {
  const { service, server } = accounts
  const shared = service.uid !== server.uid
  await mkdir(access, { recursive: true, mode: shared ? 0o755 : 0o700 })
  const lines = loginRoles.map((role) => `holdfast "${service.name}" ${role}\n`)
  const files = {
    'pg_hba.conf': 'local all all peer map=holdfast\n',
    'pg_ident.conf': lines.join(''),
  }
  for (const [name, text] of Object.entries(files)) {
    const part = join(access, `${name}.${randomBytes(6).toString('hex')}`)
    const file = await open(part, 'wx', 0o600)
    await file.writeFile(text)
    if (shared) await file.chmod(0o644)
    await file.close()
    await rename(part, join(access, name))
  }
}

async function rotateLog(log: string): Promise<void> {
  const size = await stat(log).then(
    (status) => status.size,
    () => 0,
  )
  if (size > longestLog) await rename(log, `${log}.1`)
}

/** Fast shutdown: open transactions are rolled back, the data directory is left clean. */
export async function stopServer(place: Place, binaries: Binaries, limit: number): Promise<void> {
  const running = await serverId(place.data)
  if (running === null) return
  // pg_ctl as the server's account: the pid comes from a file which that account could change. Its
  // own wait would go on when another user starts the server again at once.
  const { ok, output } = await run(
    join(binaries.folder, 'bin/pg_ctl'),
    ['stop', '--pgdata', place.data, '--mode', 'fast', '--no-wait'],
    { account: place.accounts.server, cwd: '/', timeout: 10_000 },
  )
  const deadline = Date.now() + (ok ? limit : 0)
  while ((await serverId(place.data)) === running) {
    if (Date.now() > deadline) {
      throw failure(output, { place, code: 'stop-failed', doing: `stop within ${limit / 1_000} s` })
    }
    await sleep(20)
  }
}

/** Pid, folder and start time of the server that holds the data directory; null when none does. */
async function serverId(data: string): Promise<string | null> {
  const lock = await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => null)
  return lock === null ? null : lock.split('\n').slice(0, 3).join(' ')
}

/** Turns what Postgres printed into an error that says what to do. */
export function failure(
  output: string,
  { place, code, doing }: { place: Place; code: 'start-failed' | 'stop-failed'; doing: string },
): PrivateServerError {
  const last = output.split('\n').slice(-6).join('\n')
  const tell = (advice: string) =>
    `The private Postgres could not ${doing}: ${advice}\nIts last words (log: ${place.log}):\n${last}`
  if (/No space left on device|Disk quota exceeded/.test(output)) {
    return new PrivateServerError('disk-full', tell(`the disk of ${place.data} is full.`))
  }
  if (/error while loading shared libraries/.test(output)) {
    const advice = 'libraries are missing; run "npm start" again, which completes them.'
    return new PrivateServerError('no-binaries', tell(advice))
  }
  if (/\.s\.PGSQL\.\d+\.lock/.test(output)) {
    const advice = `another Postgres uses the socket folder ${place.socket}; stop that one.`
    return new PrivateServerError('socket-directory', tell(advice))
  }
  return new PrivateServerError(code, tell('see below.'))
}

/** A start that lost to another one, or came while the last server's children still end. */
export function isTransient(output: string): boolean {
  return /lock file "postmaster\.pid" (already exists|is empty)|pre-existing shared memory block/.test(
    output,
  )
}
