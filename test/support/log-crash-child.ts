// A process of its own that appends and checkpoints what waits, and dies by kill -9 where it is told to.
import { createPrivateKey } from 'node:crypto'
import { createHeldFile } from '../../src/sequencer/held-file.ts'
import { createPool } from '../../src/store/database.ts'
import { openTestLog } from './audit-log.ts'
import { dieAtStep } from './die-at-step.ts'
import type { DieAt } from './die-at-step.ts'
import type { TestDatabase } from './postgres.ts'
import { watchPool } from './watched-pool.ts'

export type LogCrashOrder = {
  readonly database: Pick<TestDatabase, 'connection' | 'administrator'>
  readonly heldDir: string
  /** PKCS#8 in PEM. */
  readonly key: string
  /** null: a dry run, which prints its steps. */
  readonly dieAt: DieAt
}

const { database, heldDir, key, dieAt } = JSON.parse(process.argv[2] ?? '') as LogCrashOrder
const { taken, step } = dieAtStep(dieAt)
let begun = false

const file = createHeldFile(heldDir)
const log = await openTestLog(database as TestDatabase, {
  heldDir,
  key: createPrivateKey(key),
  pool: watchPool(createPool(database.connection), {
    around: async (name, send) => (begun ? await step(name, send) : await send()),
  }),
  held: {
    ...file,
    replace: async (held, next) => {
      const swap = async () => await file.replace(held, next)
      return begun ? await step('swap', swap) : await swap()
    },
  },
})
await log.look()
begun = true
while ((await log.sequence()) > 0);
await log.look()
process.stdout.write(`${JSON.stringify(taken)}\n`)
process.exit(0)
