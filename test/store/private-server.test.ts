import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  chmod,
  chown,
  cp,
  lstat,
  mkdir,
  mkdtemp,
  readFile,
  readlink,
  readdir,
} from 'node:fs/promises'
import { realpath, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openPrivateServer } from '../../src/store/private-server.ts'
import type { PrivateConnection, PrivateServer } from '../../src/store/private-server.ts'
import { removeDataDir, silentLog, systemFoldersOf } from '../support/data-dir.ts'

const isRoot = process.getuid?.() === 0
const holder = fileURLToPath(new URL('../support/hold-private-server.ts', import.meta.url))

let home = ''
let dataDir = ''
const dataDirs = new Set<string>()
const children = new Set<ChildProcess>()

beforeEach(async () => {
  home = await realpath(await mkdtemp(join(tmpdir(), 'holdfast-server-')))
  await chmod(home, 0o711)
  dataDir = join(home, 'data')
})

afterEach(async () => {
  for (const child of children) child.kill('SIGKILL')
  children.clear()
  for (const made of [dataDir, ...dataDirs]) await removeDataDir(made)
  dataDirs.clear()
  await rm(home, { recursive: true, force: true })
})

function open(folder = dataDir): Promise<PrivateServer> {
  return openPrivateServer({ dataDir: folder, log: silentLog })
}

/** Another process that holds the server until its stdin ends. */
function hold(folder = dataDir): ChildProcess {
  const child = spawn(process.execPath, [holder, folder], { stdio: ['pipe', 'pipe', 'inherit'] })
  children.add(child)
  return child
}

async function isOpen(child: ChildProcess): Promise<void> {
  const [said] = await once(child.stdout!, 'data')
  expect(String(said)).toBe('open\n')
}

async function query(connection: PrivateConnection, text: string): Promise<unknown[]> {
  const client = new Client(connection)
  await client.connect()
  try {
    return (await client.query({ text, rowMode: 'array' })).rows.flat()
  } finally {
    await client.end()
  }
}

async function eventually<T>(attempt: () => Promise<T>): Promise<T> {
  for (let left = 100; ; left -= 1) {
    try {
      return await attempt()
    } catch (error) {
      if (left === 0) throw error
      await sleep(100)
    }
  }
}

async function postmaster(folder = dataDir): Promise<number> {
  return Number((await readFile(join(folder, 'pg/postmaster.pid'), 'utf8')).split('\n')[0])
}

const permissions = async (path: string) => (await stat(path)).mode & 0o777

describe('the private server', () => {
  test('a first start makes a durable database that the next start finds again', async () => {
    const first = await open()
    await query(first.owner, 'CREATE TABLE kept AS SELECT 7 AS n')
    expect(await query(first.connection, 'SHOW fsync')).toEqual(['on'])
    expect(await query(first.connection, 'SHOW synchronous_commit')).toEqual(['on'])
    expect(await query(first.connection, 'SHOW listen_addresses')).toEqual([''])
    expect(await query(first.connection, 'SHOW server_encoding')).toEqual(['UTF8'])
    expect(await permissions(join(dataDir, 'pg'))).toBe(0o700)
    expect(await permissions(join(dataDir, 'postgres.log'))).toBe(0o600)
    await first.release()
    const second = await open()
    expect(await query(second.owner, 'SELECT n FROM kept')).toEqual([7])
    await second.release()
  })

  test('the application is no superuser and owns nothing, its database neither', async () => {
    const server = await open()
    const { connection, administrator } = server
    expect(await query(connection, 'SELECT current_user, current_database()')).toEqual([
      'holdfast',
      'holdfast',
    ])
    const rights = 'rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls'
    expect(
      await query(connection, `SELECT ${rights} FROM pg_roles WHERE rolname = current_user`),
    ).toEqual([false, false, false, false, false])
    const owner = 'SELECT datdba::regrole::text FROM pg_database WHERE datname = current_database()'
    expect(await query(connection, owner)).toEqual(['holdfast_owner'])
    await expect(query(connection, 'CREATE TABLE mine (n int)')).rejects.toMatchObject({
      code: '42501',
    })
    await query(administrator, 'CREATE ROLE stranger')
    const may = "SELECT has_database_privilege('stranger', 'holdfast', 'CONNECT')"
    expect(await query(administrator, may)).toEqual([false])
    await server.release()
  })

  test('the database of a time before there was an owner gets one, with all that is in it', async () => {
    const before = await open()
    const admin = { ...before.administrator, database: 'holdfast' }
    await query(before.owner, 'CREATE TABLE kept AS SELECT 7 AS n')
    await query(admin, 'REASSIGN OWNED BY holdfast_owner TO holdfast')
    await query(admin, 'DROP OWNED BY holdfast_owner')
    await query(admin, 'DROP ROLE holdfast_owner')
    await before.release()
    const after = await open()
    expect(await query(after.owner, 'SELECT n FROM kept')).toEqual([7])
    await expect(query(after.connection, 'DROP TABLE kept')).rejects.toMatchObject({
      code: '42501',
    })
    await after.release()
  })

  test('a role that the map does not name is refused', async () => {
    const server = await open()
    const { connection, administrator } = server
    await query(administrator, 'CREATE ROLE stranger LOGIN SUPERUSER')
    const refusal = { code: '28000' }
    await expect(query({ ...connection, user: 'stranger' }, 'SELECT 1')).rejects.toMatchObject(
      refusal,
    )
    await server.release()
  })

  test('two processes that start first at once share one server', async () => {
    const both = [hold(), hold()]
    await Promise.all(both.map(isOpen))
    const shared = await open()
    const keepers =
      "SELECT count(*)::int FROM pg_stat_activity WHERE application_name LIKE '%keeper'"
    expect(await query(shared.connection, keepers)).toEqual([3])
    expect((await readdir(dataDir)).filter((name) => name.startsWith('pg.new-'))).toEqual([])
    await shared.release()
  })

  test('whoever releases last stops the server', async () => {
    const [first, second] = await Promise.all([open(), open()])
    await first.release()
    await first.release()
    expect(await query(second.connection, 'SELECT 1')).toEqual([1])
    await second.release()
    await expect(query(second.connection, 'SELECT 1')).rejects.toMatchObject({ code: 'ENOENT' })
    await expect(postmaster()).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('opening while the last user stops it brings it up again', async () => {
    let current = await open()
    for (let round = 0; round < 8; round += 1) {
      const [next] = await Promise.all([sleep(round * 8).then(() => open()), current.release()])
      expect(await query(next.connection, 'SELECT 1')).toEqual([1])
      current = next
    }
    await current.release()
  })

  test('a server left behind by a killed process is used and then stopped', async () => {
    const child = hold()
    await isOpen(child)
    const left = await postmaster()
    child.kill('SIGKILL')
    await once(child, 'exit')
    const server = await open()
    expect(await postmaster()).toBe(left)
    await server.release()
    await expect(postmaster()).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('a first start killed at any moment leaves nothing half-made', async () => {
    for (const after of [200, 500, 900]) {
      const folder = join(home, `killed-${after}`)
      dataDirs.add(folder)
      const child = hold(folder)
      await sleep(after)
      child.kill('SIGKILL')
      await once(child, 'exit')
      const server = await open(folder)
      expect(await query(server.connection, 'SELECT 1')).toEqual([1])
      await server.release()
    }
  })

  test('what a killed first start left is swept by a later first start', async () => {
    await (await open()).release()
    const left = join(dataDir, 'pg.new-0123456789ab')
    await rename(join(dataDir, 'pg'), left)
    await utimes(left, 0, 0)
    await (await open()).release()
    await expect(stat(left)).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('a killed Postgres comes back by itself with every committed row', async () => {
    const server = await open()
    await query(server.owner, 'CREATE TABLE kept AS SELECT 7 AS n')
    process.kill(await postmaster(), 'SIGKILL')
    const rows = await eventually(() => query(server.owner, 'SELECT n FROM kept'))
    expect(rows).toEqual([7])
    await server.release()
    await expect(postmaster()).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('Postgres killed together with its user is recovered by the next start', async () => {
    const child = hold()
    await isOpen(child)
    const other = await open()
    await query(other.owner, 'CREATE TABLE kept AS SELECT 7 AS n')
    child.kill('SIGKILL')
    const released = other.release()
    // It may have stopped by then: that is the race.
    await postmaster()
      .then((pid) => process.kill(pid, 'SIGKILL'))
      .catch(() => undefined)
    await released
    const again = await open()
    expect(await query(again.owner, 'SELECT n FROM kept')).toEqual([7])
    await again.release()
  })

  test('a lock file whose pid now belongs to another process does not stop the start', async () => {
    const server = await open()
    const lock = join(dataDir, 'pg/postmaster.pid')
    const text = await readFile(lock, 'utf8')
    const { uid, gid } = await stat(join(dataDir, 'pg'))
    await server.release()
    const stranger = spawn('sleep', ['60'], { uid, gid, stdio: 'ignore' })
    children.add(stranger)
    await writeFile(lock, text.replace(/^\d+/, String(stranger.pid)), { mode: 0o600 })
    await chown(lock, uid, gid)
    const again = await open()
    expect(await query(again.connection, 'SELECT 1')).toEqual([1])
    await again.release()
  })

  test('a data directory whose path is too long for a socket works', async () => {
    const folder = join(home, 'x'.repeat(120))
    dataDirs.add(folder)
    const server = await open(folder)
    expect(server.connection.host.length).toBeLessThan(60)
    expect(await permissions(server.connection.host)).toBe(0o700)
    expect(await query(server.connection, 'SELECT 1')).toEqual([1])
    await server.release()
  })

  test('data of another Postgres version is named, not touched', async () => {
    await (await open()).release()
    await writeFile(join(dataDir, 'pg/PG_VERSION'), '12\n')
    await expect(open()).rejects.toMatchObject({ code: 'version' })
    await rm(join(dataDir, 'pg'), { recursive: true })
  })

  test('a data directory that is not whole is named, not filled', async () => {
    await (await open()).release()
    await rm(join(dataDir, 'pg/PG_VERSION'))
    await expect(open()).rejects.toMatchObject({ code: 'damaged' })
  })

  test('a start that Postgres refuses shows its last words and the log', async () => {
    await (await open()).release()
    await writeFile(join(dataDir, 'pg/postgresql.auto.conf'), 'no_such_setting = 1\n')
    await expect(open()).rejects.toMatchObject({
      code: 'start-failed',
      message: expect.stringMatching(/postgres\.log[\s\S]*no_such_setting/),
    })
    await writeFile(join(dataDir, 'pg/postgresql.auto.conf'), '')
  })
})

describe.runIf(isRoot)('the private server of root', () => {
  /** A clone like one in root's home: nobody else gets in. */
  async function closedClone(name: string): Promise<string> {
    const folder = join(home, name)
    await mkdir(folder, { mode: 0o700 })
    dataDirs.add(join(folder, 'data'))
    return join(folder, 'data')
  }

  test('lies below /var/lib/holdfast when its user cannot reach the clone', async () => {
    const [one, two] = [await closedClone('one'), await closedClone('two')]
    const [first, second] = [await open(one), await open(two)]
    await query(first.owner, 'CREATE TABLE kept AS SELECT 7 AS n')
    expect(await readlink(join(one, 'pg'))).toMatch(/^\/var\/lib\/holdfast\/[0-9a-f]{16}\/pg$/)
    const other = query(second.owner, 'SELECT n FROM kept')
    await expect(other).rejects.toMatchObject({ code: '42P01' })
    await Promise.all([first.release(), second.release()])
    expect(await systemFoldersOf(one)).toHaveLength(1)
    const again = await open(one)
    expect(await query(again.owner, 'SELECT n FROM kept')).toEqual([7])
    await again.release()
  })

  test('moves with its clone and is not shared with a copy', async () => {
    const original = await closedClone('original')
    const [copy, moved] = [await closedClone('copy'), await closedClone('moved')]
    await (await open(original)).release()
    await cp(original, copy, { recursive: true, verbatimSymlinks: true })
    await expect(open(copy)).rejects.toMatchObject({ code: 'copied' })
    await rm(copy, { recursive: true })
    await rename(original, moved)
    await (await open(moved)).release()
    expect(await systemFoldersOf(moved)).toHaveLength(1)
  })

  test('is not found by a new clone at the path of a removed one', async () => {
    const folder = await closedClone('reused')
    const first = await open(folder)
    await query(first.owner, 'CREATE TABLE kept AS SELECT 7 AS n')
    await first.release()
    await rm(folder, { recursive: true })
    await mkdir(join(home, 'between'))
    const second = await open(folder)
    await expect(query(second.owner, 'TABLE kept')).rejects.toMatchObject({ code: '42P01' })
    await second.release()
  })

  test('stays where it is when the clone is opened to all or closed later', async () => {
    const folder = await closedClone('opened')
    await (await open(folder)).release()
    await chmod(join(folder, '..'), 0o755)
    await (await open(folder)).release()
    expect((await lstat(join(folder, 'pg'))).isSymbolicLink()).toBe(true)
    await (await open()).release()
    await chmod(dataDir, 0o700)
    await expect(open()).rejects.toMatchObject({ code: 'unreachable' })
    await chmod(dataDir, 0o711)
  })

  test('lets in neither the user that Postgres runs as nor any other', async () => {
    const server = await open()
    const { connection, owner, administrator } = server
    const { uid } = await stat(join(dataDir, 'pg'))
    for (const target of [connection, owner, administrator]) {
      expect(await refusal(uid, target)).toBe('28000')
      expect(await refusal(uid + 1, target)).toBe('EACCES')
    }
    await server.release()
  })

  /** How a connection ends that the OS user `uid` opens: the kernel tells the server who asks. */
  async function refusal(uid: number, connection: PrivateConnection): Promise<unknown> {
    process.setegid?.(uid)
    process.seteuid?.(uid)
    try {
      return await query(connection, 'SELECT 1').catch(({ code }) => code)
    } finally {
      process.seteuid?.(0)
      process.setegid?.(0)
    }
  }
})
