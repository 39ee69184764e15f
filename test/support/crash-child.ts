// A process of its own that signs, and dies by kill -9 where it is told to.
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { toConfig } from '../../src/config.ts'
import { createContext } from '../../src/context.ts'
import type { Context } from '../../src/context.ts'
import { DirectoryError } from '../../src/directory/directory.ts'
import type { PlcDirectory } from '../../src/directory/directory.ts'
import type { Signer } from '../../src/signer/signer.ts'
import { createPool } from '../../src/store/database.ts'
import type { AuditRow } from './fake-directory.ts'
import { watchPool } from './watched-pool.ts'

/** One call, and the step before, during or after which the process dies. */
export type CrashJob = {
  readonly message: string
  /** What the directory shows, by DID. */
  readonly logs: Readonly<Record<string, readonly AuditRow[]>>
}

export type CrashOrder = {
  readonly dataDir: string
  readonly databaseUrl: string
  /** Each stands at the same boundary when the process dies. */
  readonly jobs: readonly CrashJob[]
  /** null: a dry run, which prints the steps that it takes. */
  readonly dieAt: { readonly step: number; readonly when: 'before' | 'during' } | null
}

/** Statements, the key, the directory: all that leaves the process on its way to a signature. */
type Steps = {
  readonly taken: string[]
  /** The start is over: from here on steps count. */
  readonly begin: () => void
  readonly step: <T>(name: string, work: () => Promise<T>) => Promise<T>
}

const { dataDir, databaseUrl, jobs, dieAt } = JSON.parse(process.argv[2] ?? '') as CrashOrder
const atBoundary = jobs.map(() => Promise.withResolvers<void>())

/** With `during`, a step's words are on their way, and nobody waits for the answer. */
function stepsOf(job: number): Steps {
  const taken: string[] = []
  let begun = false
  const stand = async (): Promise<never> => {
    atBoundary[job]?.resolve()
    return await new Promise(() => {})
  }
  return {
    taken,
    begin: () => void (begun = true),
    async step(name, work) {
      if (!begun) return await work()
      taken.push(name)
      if (taken.length - 1 !== dieAt?.step) return await work()
      if (dieAt.when === 'before') return await stand()
      const done = work()
      done.catch(() => {})
      return await stand()
    },
  }
}

async function contextOf(steps: Steps, logs: CrashJob['logs']): Promise<Context> {
  const config = toConfig({ HOLDFAST_DATA_DIR: dataDir }, process.cwd())
  return await createContext({
    config,
    secrets: { databaseUrl, databaseOwnerUrl: null, checkpointStoreUrl: null },
    log: pino({ level: 'silent' }),
    withSigners: true,
    overrides: {
      poolFor: (connection) => watchPool(createPool(connection), { around: steps.step }),
      wrapSigner: (signer): Signer => ({
        ...signer,
        sign: (intent, signal) => steps.step('key', () => signer.sign(intent, signal)),
      }),
      directory: directoryOf(steps, logs),
    },
  })
}

function directoryOf(steps: Steps, logs: CrashJob['logs']): PlcDirectory {
  return {
    ping: async () => {},
    getLog: async (did) =>
      await steps.step('directory', async () => {
        const log = logs[did]
        if (log === undefined) throw new DirectoryError('not-registered', did)
        return log
      }),
  }
}

async function signOnce(job: CrashJob, index: number): Promise<string[]> {
  const steps = stepsOf(index)
  const context = await contextOf(steps, job.logs)
  steps.begin()
  const key = context.policies.keys[0]
  if (key === undefined) throw new TypeError('a development start makes a key')
  await context.signNow({ caller: 'pds', key, message: Buffer.from(job.message, 'base64') })
  // One more boundary: everything is committed, and nobody has been told.
  await steps.step('answer', async () => {})
  return steps.taken
}

const calls = jobs.map(async (job, index) => await signOnce(job, index))
if (dieAt === null) {
  process.stdout.write(`${JSON.stringify(await Promise.all(calls))}\n`)
  process.exit(0)
}
await Promise.race([Promise.all(atBoundary.map(({ promise }) => promise)), Promise.all(calls)])
// What `during` has sent is on its way to Postgres, or is there, or has been done.
if (dieAt.when === 'during') await sleep(Math.random() * 3)
process.kill(process.pid, 'SIGKILL')
