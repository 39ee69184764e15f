import { fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { openSealer, prepareDataDir } from '../../src/data-dir.ts'
import { openPolicies } from '../../src/development.ts'
import type { Config } from '../../src/config.ts'
import { startKmsEmulator, useAdminCredentials } from '../../test/support/kms-emulator/emulator.ts'
import { replaceKey } from '../../test/support/pinned-key.ts'
import { openSoftHsm } from '../../test/support/softhsm.ts'
import type { RawJob } from './raw-token.ts'

/** The key of one run of `sign`, with what is particular to where it lives. */
export type SignKey = {
  /** Pins the key under the id of the development key, where the service will look. */
  readonly prepare: (config: Config) => Promise<void>
  readonly environment: NodeJS.ProcessEnv
  /** The key's own best rate without a service, by concurrency; null: asked one by one, in process. */
  readonly rawRates: ((count: number) => Promise<Readonly<Record<string, number>>>) | null
  readonly boundBy: string
  readonly close: () => Promise<void>
}

/** A further backend is a further line here. */
export const signKeys: Readonly<Record<string, () => Promise<SignKey>>> = {
  file: openFileKey,
  pkcs11: openTokenKey,
  awskms: openKmsKey,
}

async function openFileKey(): Promise<SignKey> {
  return {
    // The first start makes it.
    prepare: async () => {},
    environment: {},
    rawRates: null,
    boundBy:
      'CPU of the one service process: HTTP and SigV4, judging, encoding and statements, beside the software key',
    close: async () => {},
  }
}

/** SoftHSM2, without the fault shim; made there by `pkcs11-tool`. */
async function openTokenKey(): Promise<SignKey> {
  const hsm = await openSoftHsm()
  const did = await hsm.makeKey('bench', 'K-256')
  const uri = hsm.uri('object=bench', hsm.module)
  return {
    prepare: async (config) => await pin(config, { did, uri }),
    environment: hsm.environment,
    rawRates: async (count) => {
      const job = { modulePath: hsm.module, token: 'T', label: 'bench', pin: hsm.pin, count }
      return await rawRates(job, hsm.environment)
    },
    boundBy:
      'CPU: SoftHSM2 signs on the same cores as the service process, Postgres and the load; of the ' +
      'service, HTTP and SigV4, judging, encoding and statements',
    close: async () => await hsm.close(),
  }
}

/** An emulator of AWS KMS in Python, on this machine: its own rate says more of it than of AWS. */
async function openKmsKey(): Promise<SignKey> {
  useAdminCredentials()
  const emulator = await startKmsEmulator()
  const { arn, did } = await emulator.makeKey('K-256')
  const uri = `awskms:///${arn}?rate=10000&endpoint=${encodeURIComponent(emulator.url)}`
  return {
    prepare: async (config) => await pin(config, { did, uri }),
    environment: {},
    rawRates: async (count) => {
      const rates: Record<string, number> = {}
      for (const width of [1, 4, 16]) {
        let left = count
        const begun = performance.now()
        const sign = async () => {
          while (left-- > 0) await emulator.sign(arn, randomBytes(32))
        }
        await Promise.all(Array.from({ length: width }, sign))
        rates[width] = Math.round(count / ((performance.now() - begun) / 1_000))
      }
      return rates
    },
    boundBy:
      'the emulator, one Python process on the same cores as the service, Postgres and the load',
    close: async () => await emulator.stop(),
  }
}

async function pin(config: Config, key: { did: string; uri: string }): Promise<void> {
  await prepareDataDir(config)
  await openPolicies(config, await openSealer(config))
  await replaceKey(config, async () => key)
}

/** A process of its own: a module never comes into this one. */
async function rawRates(
  job: RawJob,
  env: NodeJS.ProcessEnv,
): Promise<Readonly<Record<string, number>>> {
  const child = fork(new URL('./raw-token.ts', import.meta.url), {
    stdio: 'inherit',
    execArgv: ['--disable-warning=ExperimentalWarning'],
    env: { ...env, UV_THREADPOOL_SIZE: '8' },
  })
  child.send(job)
  const ended = once(child, 'exit').then(() => {
    throw new Error('the process that measures the token ended without an answer')
  })
  const [rates] = (await Promise.race([once(child, 'message'), ended])) as [Record<string, number>]
  return rates
}
