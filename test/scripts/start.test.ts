import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readFile, realpath, rm } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { removeDataDir } from '../support/data-dir.ts'

const root = dirname(dirname(import.meta.dirname))

let dataDir = ''
let port = 0
let npm: ChildProcess | null = null

beforeEach(async () => {
  dataDir = await realpath(await mkdtemp(join(tmpdir(), 'holdfast-start-')))
  await chmod(dataDir, 0o711)
  port = await freePort()
})

afterEach(async () => {
  npm?.kill('SIGKILL')
  npm = null
  await eventually(isFree)
  await removeDataDir(dataDir)
  await rm(dataDir, { recursive: true, force: true })
})

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port: free } = server.address() as AddressInfo
  server.close()
  return free
}

/** `npm start` as in a terminal: the leader of a process group. Resolves when the service listens. */
async function start(): Promise<ChildProcess> {
  const started = startWith({})
  npm = started
  expect(await eventually(async () => !(await isFree()))).toBe(true)
  return started
}

function startWith(env: Record<string, string>): ChildProcess {
  return spawn('npm', ['start'], {
    cwd: root,
    detached: true,
    stdio: 'ignore',
    env: { ...process.env, HOLDFAST_DATA_DIR: dataDir, HOLDFAST_PORT: String(port), ...env },
  })
}

function isFree(): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(false)).once('error', () => resolve(true))
    socket.once('connect', () => socket.destroy())
  })
}

/** Whether it holds within 30 s. */
async function eventually(holds: () => Promise<boolean>): Promise<boolean> {
  for (let left = 300; left > 0; left -= 1) {
    if (await holds()) return true
    await sleep(100)
  }
  return false
}

/** Nothing of ours is left: neither the service, nor its port, nor its Postgres. */
async function isGone(): Promise<boolean> {
  const lock = await readFile(join(dataDir, 'pg/postmaster.pid'), 'utf8').catch(() => null)
  return lock === null && (await isFree())
}

async function childOf(pid: number): Promise<number> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return Number(children.trim().split(' ')[0])
}

describe('npm start', () => {
  test('stops the service on SIGTERM and leaves its port free', async () => {
    const started = await start()
    started.kill('SIGTERM')
    const [code] = await once(started, 'exit')
    expect(code).toBe(0)
    expect(await isGone()).toBe(true)
  })

  test('stops the service on Ctrl-C, which reaches the whole process group', async () => {
    const started = await start()
    process.kill(-started.pid!, 'SIGINT')
    await once(started, 'exit')
    expect(await eventually(isGone)).toBe(true)
  })

  test('takes the service along when npm is killed', async () => {
    const started = await start()
    started.kill('SIGKILL')
    expect(await eventually(isGone)).toBe(true)
  })

  test.runIf(process.platform === 'linux')(
    'takes the service along when the launcher is killed',
    async () => {
      const started = await start()
      process.kill(await childOf(started.pid!), 'SIGKILL')
      expect(await eventually(isGone)).toBe(true)
    },
  )

  test('starts again after it was stopped', async () => {
    for (let round = 0; round < 2; round += 1) {
      const started = await start()
      started.kill('SIGTERM')
      await once(started, 'exit')
    }
    expect(await isGone()).toBe(true)
  })

  test('ends with the exit code of a service that refuses its settings', async () => {
    const refused = startWith({ HOLDFAST_NO_SUCH_SETTING: '1' })
    const [code] = await once(refused, 'exit')
    expect(code).toBe(2)
  })
})
