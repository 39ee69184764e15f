import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** A process of the test's own; everything it prints goes to `logFile`. */
export type Child = {
  readonly pid: number
  readonly logFile: string
  log(): string
  /** Resolves once the process has ended, with its exit code (null: by a signal). */
  readonly exited: Promise<number | null>
  /** SIGTERM, and SIGKILL if the process has not ended 10 s later. */
  stop(): Promise<number | null>
}

export type ChildOptions = {
  args: readonly string[]
  /** The whole environment: nothing is inherited but `PATH`, so no test rests on the machine's. */
  env: Record<string, string>
  cwd: string
  logFile: string
  /** Our own mains say `ready` over IPC and end when the test does; a product's process has none. */
  ipc: boolean
}

const STOP_MS = 10_000

export function spawnNode(options: ChildOptions): { child: Child; process: ChildProcess } {
  mkdirSync(dirname(options.logFile), { recursive: true })
  const output = openSync(options.logFile, 'a')
  const started = spawn(process.execPath, options.args, {
    cwd: options.cwd,
    env: { PATH: process.env['PATH'] ?? '', ...options.env },
    stdio: options.ipc ? ['ignore', output, output, 'ipc'] : ['ignore', output, output],
  })
  closeSync(output)
  const exited = new Promise<number | null>((resolve, reject) => {
    started.once('exit', (code) => resolve(code))
    started.once('error', reject)
  })
  const child: Child = {
    pid: started.pid ?? 0,
    logFile: options.logFile,
    log: () => readFileSync(options.logFile, 'utf8'),
    exited,
    stop: () => stop(started, exited),
  }
  return { child, process: started }
}

/** Starts one of our mains and waits for its `{ ready: true, port }`; throws with its log's end. */
export async function startMain(
  options: Omit<ChildOptions, 'ipc'> & { readyMs: number },
): Promise<{ child: Child; port: number }> {
  const { child, process: started } = spawnNode({ ...options, ipc: true })
  const ready = new Promise<number>((resolve) => {
    started.once('message', (message) => resolve((message as { port: number }).port))
  })
  const port = await firstOf(ready, child, options.readyMs)
  return { child, port }
}

/** Polls until `found` answers; throws with the log's end when the process ends or time is up. */
export async function waitFor<T>(
  child: Child,
  timeoutMs: number,
  found: () => Promise<T | undefined> | T | undefined,
): Promise<T> {
  const until = Date.now() + timeoutMs
  const look = async (): Promise<T> => {
    for (;;) {
      const value = await found()
      if (value !== undefined) return value
      if (Date.now() > until) throw failure(child, `not ready in ${timeoutMs} ms`)
      await sleep(50)
    }
  }
  return await firstOf(look(), child, timeoutMs + 1_000)
}

async function firstOf<T>(ready: Promise<T>, child: Child, timeoutMs: number): Promise<T> {
  const timer = new AbortController()
  const ended = child.exited.then((code) => {
    throw failure(child, `ended with code ${code}`)
  })
  const late = sleep(timeoutMs, undefined, { signal: timer.signal }).then(() => {
    throw failure(child, `not ready in ${timeoutMs} ms`)
  })
  late.catch(() => {})
  ended.catch(() => {})
  try {
    return await Promise.race([ready, ended, late])
  } catch (error) {
    await child.stop()
    throw error
  } finally {
    timer.abort()
  }
}

async function stop(started: ChildProcess, exited: Promise<number | null>): Promise<number | null> {
  if (started.exitCode !== null || started.signalCode !== null) return started.exitCode
  started.kill('SIGTERM')
  const timer = setTimeout(() => started.kill('SIGKILL'), STOP_MS)
  try {
    return await exited
  } finally {
    clearTimeout(timer)
  }
}

function failure(child: Child, what: string): Error {
  return new Error(`${child.logFile}: ${what}\n${child.log().slice(-4_000)}`)
}
