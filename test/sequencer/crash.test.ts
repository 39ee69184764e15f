import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { entriesOf, openTestLog, testKey, wholeSizeOf } from '../support/audit-log.ts'
import type { LogCrashOrder } from '../support/log-crash-child.ts'
import { createTestDatabase } from '../support/postgres.ts'

// kill -9 of the sequencer and checkpointer at every step: each statement, the swap of the held record,
// and the words that are on their way. Whoever comes next leaves no gap, no duplicate and no fork.

const child = fileURLToPath(new URL('../support/log-crash-child.ts', import.meta.url))
const execute = promisify(execFile)
const key = testKey.export({ type: 'pkcs8', format: 'pem' }).toString()

/** A log of 6 entries, checkpointed, and 300 that wait: a tile fills on the way. */
async function withWaiting<T>(
  work: (order: Omit<LogCrashOrder, 'dieAt'>, check: () => Promise<unknown>) => Promise<T>,
): Promise<T> {
  const database = await createTestDatabase()
  const heldDir = await mkdtemp(join(tmpdir(), 'holdfast-held-'))
  const log = await openTestLog(database, { heldDir })
  await log.append(5)
  await log.settle()
  await log.append(300)
  await log.close()
  const { connection, administrator } = database
  const order = { database: { connection, administrator }, heldDir, key }
  const check = async () => {
    const next = await openTestLog(database, { heldDir })
    // The dead process's last words may still be on their way, and its lock with them.
    for (let tries = 0; tries < 100; tries += 1) {
      await next.settle()
      if ((await next.store.head()).range.size === 306) break
      await sleep(50)
    }
    const entries = await entriesOf(next.pool)
    const about = new Set(entries.map(({ body }) => body['did'] ?? body['store']))
    const found = { size: await wholeSizeOf(next), cause: next.gate.cause(), about: about.size }
    await next.close()
    return found
  }
  try {
    return await work(order, check)
  } finally {
    await rm(heldDir, { recursive: true })
    await database.drop()
  }
}

async function run(order: LogCrashOrder): Promise<string> {
  const { stdout } = await execute(process.execPath, [child, JSON.stringify(order)], {
    env: {
      PATH: process.env['PATH'],
      NODE_COMPILE_CACHE: join(tmpdir(), 'holdfast-compile-cache'),
    },
  })
  return stdout
}

const steps = await withWaiting(
  async (order) => JSON.parse(await run({ ...order, dieAt: null })) as string[],
)
/** What only reads is the same before and after. */
const writes = ['update', 'holdfast_log_take', 'holdfast_log_append', 'commit', 'swap']
const boundaries = steps.flatMap((name, step) => [
  { name, step, when: 'before' as const },
  ...(writes.includes(name) ? [{ name, step, when: 'during' as const }] : []),
])

test('the steps are those of a transaction and of a checkpoint', () => {
  expect(steps).toContain('swap')
  expect(steps.filter((name) => name === 'commit').length).toBeGreaterThanOrEqual(1)
  expect(steps).toContain('holdfast_log_take')
})

describe.concurrent('kill -9', () => {
  test.each(boundaries)('$when step $step, $name', { timeout: 120_000 }, async ({ step, when }) => {
    await withWaiting(async (order, check) => {
      const ended = await run({ ...order, dieAt: { step, when } }).catch(
        (error: Error & { signal?: string }) => error,
      )

      expect(ended).toMatchObject({ signal: 'SIGKILL' })
      expect(await check()).toEqual({ size: 306, cause: null, about: 306 })
    })
  })
})
