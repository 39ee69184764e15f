// A process of its own that appends and checkpoints what waits, and dies by kill -9 where it is told to.
import { createPrivateKey } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { createHeldFile } from '../../src/sequencer/held-file.ts'
import { createPool } from '../../src/store/database.ts'
import { openTestLog } from './audit-log.ts'
import type { TestDatabase } from './postgres.ts'
import { watchPool } from './watched-pool.ts'

export type LogCrashOrder = {
  readonly database: Pick<TestDatabase, 'connection' | 'administrator'>
  readonly heldDir: string
  /** PKCS#8 in PEM. */
  readonly key: string
  /** null: a dry run, which prints its steps. */
  readonly dieAt: { readonly step: number; readonly when: 'before' | 'during' } | null
}

const { database, heldDir, key, dieAt } = JSON.parse(process.argv[2] ?? '') as LogCrashOrder
const taken: string[] = []
let begun = false

async function step<T>(name: string, work: () => Promise<T>): Promise<T> {
  if (!begun) return await work()
  taken.push(name)
  if (taken.length - 1 !== dieAt?.step) return await work()
  if (dieAt.when === 'during') {
    work().catch(() => {})
    await sleep(Math.random() * 3)
  }
  process.kill(process.pid, 'SIGKILL')
  return await new Promise(() => {})
}

const file = createHeldFile(heldDir)
const log = await openTestLog(database as TestDatabase, {
  heldDir,
  key: createPrivateKey(key),
  pool: watchPool(createPool(database.connection), { around: step }),
  held: {
    ...file,
    replace: async (held, next) => await step('swap', () => file.replace(held, next)),
  },
})
await log.look()
begun = true
while ((await log.sequence()) > 0);
await log.look()
process.stdout.write(`${JSON.stringify(taken)}\n`)
process.exit(0)
