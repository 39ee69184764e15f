import { randomBytes } from 'node:crypto'
import { mkdir, open, readFile, rename, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Binaries } from './private-server-binaries.ts'
import { errorCode } from './private-server-error.ts'
import { failure } from './private-server-failure.ts'
import type { Place } from './private-server-place.ts'
import { run, startDetached } from './private-server-program.ts'
import type { Started } from './private-server-program.ts'
import { loginRoles } from './private-server-roles.ts'

export const port = 5432

const longestLog = 10_000_000

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

/**
 * Pid, folder and start time of the server that holds the data directory; null when none does. A
 * killed server leaves its file behind, so its process is looked for too.
 */
async function serverId(data: string): Promise<string | null> {
  const lock = await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => null)
  if (lock === null) return null
  const [pid, ...rest] = lock.split('\n').slice(0, 3)
  return isAlive(Number(pid)) ? [pid, ...rest].join(' ') : null
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return errorCode(error) !== 'ESRCH'
  }
}
