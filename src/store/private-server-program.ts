import { spawn } from 'node:child_process'
import { open } from 'node:fs/promises'
import type { Account } from './private-server-account.ts'

/**
 * Nothing of the service's own environment reaches Postgres: it may hold secrets, which the
 * server's account could read, and PG* variables, which would change what the programs do.
 */
const environment = { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' }

const keptOutput = 4_000

export type Finished = { ok: boolean; output: string }

/** Runs a program to its end as `account`; `output` is the tail of what it printed. */
export function run(
  file: string,
  args: string[],
  { account, cwd, timeout }: { account: Account; cwd: string; timeout: number },
): Promise<Finished> {
  return new Promise((resolve) => {
    let output = ''
    const child = spawn(file, args, {
      ...identity(account),
      cwd,
      env: environment,
      timeout,
      killSignal: 'SIGKILL',
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const keep = (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-keptOutput)
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    child.once('error', (error) => resolve({ ok: false, output: error.message }))
    child.once('close', (code) => resolve({ ok: code === 0, output: output.trim() }))
  })
}

/** A server process that outlives us. `exited` is true from the moment it ended. */
export type Started = { readonly exited: boolean; output: () => Promise<string> }

/** Starts a program in a session of its own (Ctrl-C must not reach it), printing into `log`. */
export async function startDetached(
  file: string,
  args: string[],
  { account, cwd, log }: { account: Account; cwd: string; log: string },
): Promise<Started> {
  const sink = await open(log, 'a', 0o600)
  try {
    const { size } = await sink.stat()
    const child = spawn(file, args, {
      ...identity(account),
      cwd,
      env: environment,
      detached: true,
      stdio: ['ignore', sink.fd, sink.fd],
    })
    const state = { exited: false, output: () => readFrom(log, size) }
    child.once('exit', () => (state.exited = true))
    child.once('error', (error) => {
      state.exited = true
      state.output = async () => error.message
    })
    child.unref()
    return state
  } finally {
    await sink.close()
  }
}

async function readFrom(log: string, offset: number): Promise<string> {
  const source = await open(log, 'r')
  try {
    const { size } = await source.stat()
    const start = Math.max(offset, size - keptOutput)
    const { buffer, bytesRead } = await source.read(Buffer.alloc(keptOutput), 0, keptOutput, start)
    return buffer.toString('utf8', 0, bytesRead).trim()
  } finally {
    await source.close()
  }
}

function identity(account: Account): { uid?: number; gid?: number } {
  return process.getuid?.() === account.uid ? {} : { uid: account.uid, gid: account.gid }
}
