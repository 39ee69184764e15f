import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { toConfig } from '../../src/config.ts'
import { createContext } from '../../src/context.ts'
import type { Context } from '../../src/context.ts'
import { openSealer, prepareDataDir } from '../../src/data-dir.ts'
import { developmentKey, openPolicies, withItem } from '../../src/development.ts'
import { doorsOf } from '../../src/doors.ts'
import { listen } from '../../src/http/server.ts'
import type { KeyFiles } from '../../src/signer/file.ts'
import type { Signer } from '../../src/signer/signer.ts'
import { addCredential } from '../../src/store/callers.ts'
import type { NewCredential } from '../../src/store/callers.ts'
import { startDirectory } from '../e2e/support/directory.ts'
import type { TestDirectory } from '../e2e/support/directory.ts'
import { replaceKey } from './pinned-key.ts'
import type { KeyEntry } from './pinned-key.ts'
import { createTestDatabase } from './postgres.ts'
import type { TestDatabase } from './postgres.ts'

/** The service as `main.ts` builds it, in this process: real Postgres, file keys, HTTP and a directory. */
export type Service = {
  readonly url: string
  readonly dataDir: string
  readonly context: Context
  readonly directory: TestDirectory
  readonly database: TestDatabase
  /** The caller of a development start, and another with a key of its own name but the same rights. */
  readonly pds: NewCredential
  readonly other: NewCredential
  /** `did:key` of the key that both may use, `pds`. */
  readonly keyDid: string
  /** What was logged, one object a line. */
  readonly lines: readonly Record<string, unknown>[]
  readonly stop: () => Promise<void>
}

export type ServiceOptions = {
  /** What `keys.yaml` says of the key `pds`, in the place of a new key file. */
  readonly key?: (files: KeyFiles) => Promise<KeyEntry>
  /** What vendors' modules see. */
  readonly environment?: NodeJS.ProcessEnv
  /** Officers, and the policy that asks them, made of the shipped one. */
  readonly officers?: { readonly roster: string; readonly policy: (shipped: string) => string }
  /** The origin by which officers name it. */
  readonly publicUrl?: string
  readonly wrapSigner?: (signer: Signer) => Signer
}

export async function startService(options: ServiceOptions = {}): Promise<Service> {
  const database = await createTestDatabase()
  const dataDir = await mkdtemp(join(tmpdir(), 'holdfast-service-'))
  const directory = await startDirectory()
  const config = toConfig(
    {
      HOLDFAST_DATA_DIR: dataDir,
      HOLDFAST_PLC_URL: directory.url,
      HOLDFAST_PORT: '0',
      ...(options.publicUrl === undefined ? {} : { HOLDFAST_PUBLIC_URL: options.publicUrl }),
    },
    dataDir,
  )
  await addCaller(config, 'other')
  if (options.key !== undefined) await replaceKey(config, options.key)
  if (options.officers !== undefined) await putOfficers(dataDir, options.officers)
  const lines: Record<string, unknown>[] = []
  const log = pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) })
  const secrets = { databaseUrl: database.url, databaseOwnerUrl: null, checkpointStoreUrl: null }
  const context = await createContext({
    config,
    secrets,
    log,
    withSigners: true,
    environment: options.environment ?? {},
    overrides: options.wrapSigner === undefined ? {} : { wrapSigner: options.wrapSigner },
  })
  const [pds, other] = [
    await addCredential(context.db, context.sealer, 'pds'),
    await addCredential(context.db, context.sealer, 'other'),
  ]
  const server = await listen(await doorsOf(context, log), { host: '127.0.0.1', port: 0 })
  const keyDid = context.policies.keys.find(({ id }) => id === developmentKey)?.did ?? ''
  return {
    url: server.url,
    dataDir,
    context,
    directory,
    database,
    pds,
    other,
    keyDid,
    lines,
    async stop() {
      await server.close()
      await context.close()
      await directory.stop()
      await database.drop()
      await rm(dataDir, { recursive: true })
    },
  }
}

/** Makes the policies of a first start, with one more caller. */
async function addCaller(config: ReturnType<typeof toConfig>, name: string): Promise<void> {
  await prepareDataDir(config)
  const { dir } = await openPolicies(config, await openSealer(config))
  const path = join(dir, 'callers.yaml')
  const text = await readFile(path, 'utf8')
  await writeFile(path, withItem(text, { name, keys: [developmentKey] }))
}

/** Policies of a first start, with officers. */
export async function putOfficers(
  dataDir: string,
  { roster, policy }: NonNullable<ServiceOptions['officers']>,
): Promise<void> {
  const path = join(dataDir, 'policies', 'policy.yaml')
  await writeFile(path, policy(await readFile(path, 'utf8')))
  await writeFile(join(dataDir, 'policies', 'roster.yaml'), roster)
}

/** `Authorization: Bearer` of a credential. */
export function bearerOf({ accessKeyId, token }: NewCredential): string {
  return `Bearer ${accessKeyId}.${token}`
}
