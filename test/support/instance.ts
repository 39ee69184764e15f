import { createHash } from 'node:crypto'
import { Pool } from 'pg'
import { pino } from 'pino'
import type { Logger } from '../../src/logger.ts'
import { toConfig } from '../../src/config.ts'
import { createContext } from '../../src/context.ts'
import type { SignNowResult } from '../../src/custody/sign-now.ts'
import { signingBytes } from '../../src/plc/encode.ts'
import type { UnsignedOperation } from '../../src/plc/operation.ts'
import type { KeyConfig } from '../../src/policy/policy-set.ts'
import type { CrashJob } from './crash-child.ts'
import { createFakeDirectory } from './fake-directory.ts'
import type { FakeDirectory } from './fake-directory.ts'
import { genesisOf, signedWith } from './operations.ts'
import type { Signed } from './operations.ts'
import { findingsOf } from './record-check.ts'
import type { Released } from './record-check.ts'

export type Instance = Awaited<ReturnType<typeof openInstance>>

/** The service's context without its doors, on a database that other instances use too. */
export async function openInstance(options: {
  dataDir: string
  databaseUrl: string
  /** What an instance before this one left behind in the world. */
  directory?: FakeDirectory
  released?: readonly Released[]
  log?: Logger
  /** Where the held record is, in the place of the data directory. */
  checkpointStoreUrl?: string
}) {
  const { dataDir, databaseUrl, directory = createFakeDirectory() } = options
  const released = [...(options.released ?? [])]
  const context = await createContext({
    config: toConfig({ HOLDFAST_DATA_DIR: dataDir }, process.cwd()),
    secrets: {
      databaseUrl,
      databaseOwnerUrl: null,
      checkpointStoreUrl: options.checkpointStoreUrl ?? null,
    },
    log: options.log ?? pino({ level: 'silent' }),
    withSigners: true,
    overrides: { directory },
  })
  const pool = new Pool({ connectionString: databaseUrl, max: 2 })
  pool.on('error', () => {})
  const [key] = context.policies.keys as [KeyConfig]

  async function sign(operation: UnsignedOperation): Promise<SignNowResult> {
    const message = signingBytes(operation)
    const result = await context.signNow({ caller: 'pds', key, message })
    const digest = createHash('sha256').update(message).digest('hex')
    if (result.kind === 'signed') released.push({ digest, compact: result.compact })
    return result
  }

  return {
    context,
    pool,
    key,
    directory,
    released,
    sign,
    /** A new account, submitted to the directory. */
    async account(name: string): Promise<Signed> {
      const genesis = genesisOf(name, [key.did])
      const result = await sign(genesis)
      if (result.kind !== 'signed') throw new Error(`not signed: ${JSON.stringify(result)}`)
      const account = signedWith(genesis, result.compact)
      directory.submit(account)
      return account
    },
    /** The same operation for a process of its own, with all that the directory shows. */
    jobOf: (operation: UnsignedOperation): CrashJob => ({
      message: Buffer.from(signingBytes(operation)).toString('base64'),
      logs: directory.all(),
    }),
    findings: async () => await findingsOf(pool, released),
    async close(): Promise<void> {
      await pool.end()
      await context.close()
    },
  }
}
