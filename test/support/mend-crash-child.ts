// A process of its own that puts lost entries back, or lets a log go on without them, and dies by kill -9
// where it is told to.
import { createPrivateKey } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { forkLog } from '../../src/sequencer/fork.ts'
import { createHeldFile } from '../../src/sequencer/held-file.ts'
import type { Held } from '../../src/sequencer/held.ts'
import { restoreLog } from '../../src/sequencer/restore.ts'
import { createPool } from '../../src/store/database.ts'
import { openTestLog } from './audit-log.ts'
import { dieAtStep } from './die-at-step.ts'
import type { DieAt } from './die-at-step.ts'
import type { TestDatabase } from './postgres.ts'
import { watchPool } from './watched-pool.ts'

export type MendOrder = {
  readonly database: Pick<TestDatabase, 'connection' | 'administrator'>
  readonly heldDir: string
  /** PKCS#8 in PEM. */
  readonly key: string
  /** An export that has what is lost; null: the log is forked. */
  readonly exported: string | null
  /** null: a dry run, which prints its steps. */
  readonly dieAt: DieAt
}

const order = JSON.parse(process.argv[2] ?? '') as MendOrder
const { database, heldDir, key, exported, dieAt } = order
const { taken, step } = dieAtStep(dieAt)
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
const held = (await log.held.read())!
const { kind } = exported === null ? await fork(held) : await restore(held, exported)
process.stdout.write(`${JSON.stringify({ kind, taken })}\n`)
process.exit(0)

async function restore(from: Held, folder: string) {
  return await restoreLog(log.store, from, async (path) => await readFile(join(folder, path)))
}

/** As it was approved: the same request each time. */
async function fork(from: Held) {
  return await forkLog(log.store, log.held, {
    held: from,
    entry: {
      kind: 'log.forked',
      from: from.origin.replace(/-forked$/, ''),
      size: 306,
      root: new Uint8Array(Buffer.from(await readFile(join(heldDir, 'lost'), 'utf8'), 'hex')),
      had: 6,
      origin: `${from.origin.replace(/-forked$/, '')}-forked`,
      checkpointKey: 'none+00000000+AA',
      agreed: { request: '{}', approvals: [] },
    },
  })
}
