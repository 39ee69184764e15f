import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { CrashOrder } from './crash-child.ts'

const child = fileURLToPath(new URL('./crash-child.ts', import.meta.url))
const execute = promisify(execFile)

/** Dozens of the same process: what one has compiled, the others need not. */
const run = async (order: CrashOrder) =>
  await execute(process.execPath, [child, JSON.stringify(order)], {
    env: { PATH: process.env['PATH'], NODE_COMPILE_CACHE: join(order.dataDir, 'compile-cache') },
  })

/** The steps that each job of an undisturbed process takes, by name. */
export async function dryRun(order: Omit<CrashOrder, 'dieAt'>): Promise<string[][]> {
  const { stdout } = await run({ ...order, dieAt: null })
  return JSON.parse(stdout) as string[][]
}

/** Runs the jobs in a process of their own, which dies by kill -9 with all of them at the boundary. */
export async function crash(order: CrashOrder): Promise<void> {
  const ended = await run(order).catch(
    (error: Error & { signal?: string; stderr?: string }) => error,
  )
  if ('signal' in ended && ended.signal === 'SIGKILL') return
  throw new Error(`the process was to be killed, but: ${JSON.stringify(ended)}`, { cause: ended })
}
