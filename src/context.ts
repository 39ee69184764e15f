import type pg from 'pg'
import { ConfigError, isInDataDir, secretPath } from './config.ts'
import type { Config, Secrets } from './config.ts'
import { keysDir, openSealer, prepareDataDir } from './data-dir.ts'
import { openPolicies } from './development.ts'
import type { PlcDirectory } from './directory/directory.ts'
import { createPlcDirectory } from './directory/plc-http.ts'
import { createPlcSubmit } from './directory/plc-submit.ts'
import type { SubmitOperation } from './directory/submit.ts'
import { openVerifier } from './ecdsa/native.ts'
import type { Logger } from './logger.ts'
import { measuredDirectory } from './measured.ts'
import { createMetrics } from './metrics.ts'
import type { Metrics } from './metrics.ts'
import type { PolicySet } from './policy/policy-set.ts'
import { pinnedKeys } from './policy/policy-set.ts'
import { checkReadiness } from './readiness.ts'
import type { Readiness } from './readiness.ts'
import type { Sealer } from './sealing/sealer.ts'
import { openSigner } from './signer/open.ts'
import type { Signer } from './signer/signer.ts'
import { openDatabase } from './store/connect.ts'
import type { Database } from './store/database.ts'
import { createUseCases } from './use-cases.ts'
import type { UseCases } from './use-cases.ts'

/** What tests may put in the place of a real part; nothing in the environment reaches it. */
export type Overrides = {
  readonly poolFor?: (connection: pg.PoolConfig) => pg.Pool
  readonly wrapSigner?: (signer: Signer) => Signer
  readonly directory?: PlcDirectory
  readonly submitOperation?: SubmitOperation
}

/** Everything that is built once, with what the doors and commands do with it. */
export type Context = UseCases & {
  readonly config: Config
  readonly policies: PolicySet
  readonly policiesDir: string
  readonly sealer: Sealer
  readonly db: Database
  readonly metrics: Metrics
  readonly readiness: () => Promise<Readiness>
  /** What every start and `readyz` say until somebody acts on it. */
  readonly warnings: readonly string[]
  readonly close: () => Promise<void>
}

export type ContextOptions = {
  readonly config: Config
  readonly secrets: Secrets
  readonly log: Logger
  /** Commands that only write rows open no key. */
  readonly withSigners: boolean
  readonly overrides?: Overrides
}

/** The one place where adapters are made. What is missing or does not fit stops here, by name. */
export async function createContext(options: ContextOptions): Promise<Context> {
  const { config, secrets, log, overrides = {} } = options
  await prepareDataDir(config)
  const sealer = await openSealer(config)
  const { dir: policiesDir, policies } = await openPolicies(config, sealer)
  if (policies.env === 'prod') checkProduction(config, secrets, policies)
  const signers: ReadonlyMap<string, Signer> = options.withSigners
    ? await openSigners({ config, sealer, policies, overrides })
    : new Map()
  const { verify, engine } = openVerifier()
  const database = await openDatabase({ ...secrets, ...overrides, dataDir: config.dataDir, log })
  const metrics = createMetrics({ processMetrics: options.withSigners })
  const plc = overrides.directory ?? createPlcDirectory(config.plcUrl)
  const directory = measuredDirectory(metrics, plc)
  log.info(
    {
      ...config,
      policiesDir,
      database: secrets.databaseUrl === null ? 'embedded' : 'DATABASE_URL',
      env: policies.env,
      policySet: Buffer.from(policies.digest).toString('hex'),
      keys: policies.keys.map(({ id, class: keyClass, did }) => `${id} ${keyClass} ${did}`),
      verifier: engine,
    },
    'configured',
  )
  const warnings = warningsOf(policies)
  return {
    config,
    policies,
    policiesDir,
    sealer,
    db: database.db,
    warnings,
    metrics,
    ...createUseCases({
      db: database.db,
      policies,
      signers,
      directory,
      submitOperation: overrides.submitOperation ?? createPlcSubmit(config.plcUrl),
      verify,
      log,
      metrics,
    }),
    readiness: async () =>
      await checkReadiness(
        [
          { name: 'database', check: async () => await database.ping() },
          {
            name: 'keys',
            check: async (signal) => {
              await Promise.all(
                [...signers.values()].map(async (signer: Signer) => await signer.check(signal)),
              )
            },
          },
          { name: 'directory', check: async (signal) => await directory.ping(signal) },
        ],
        warnings,
      ),
    close: async () => {
      await Promise.all([...signers.values()].map(async (signer: Signer) => await signer.close()))
      await database.close()
    },
  }
}

/** What a development start makes for itself has no place where accounts are real. */
function checkProduction(config: Config, secrets: Secrets, policies: PolicySet): void {
  if (secrets.databaseUrl === null) {
    throw new ConfigError(
      'DATABASE_URL: env: prod needs a Postgres of its own; the embedded one is for env: dev',
    )
  }
  if (isInDataDir(config, secretPath(config))) {
    throw new ConfigError(
      'HOLDFAST_SECRET_FILE: env: prod needs it outside the data directory, so that no copy holds both',
    )
  }
  if (config.policiesDir === null || isInDataDir(config, config.policiesDir)) {
    throw new ConfigError(
      'HOLDFAST_POLICIES_DIR: env: prod needs a reviewed folder outside the data directory',
    )
  }
  const development = policies.keys.find((key) => key.development)
  if (development !== undefined) {
    throw new ConfigError(
      `keys.yaml: key ${development.id} is a development key; env: prod refuses it`,
    )
  }
}

async function openSigners(input: {
  config: Config
  sealer: Sealer
  policies: PolicySet
  overrides: Overrides
}): Promise<Map<string, Signer>> {
  const files = { dir: keysDir(input.config), sealer: input.sealer }
  const signers = new Map<string, Signer>()
  for (const key of input.policies.keys) {
    if (key.class !== 'online') continue
    const signer = await openSigner(key, files)
    signers.set(key.id, input.overrides.wrapSigner?.(signer) ?? signer)
  }
  return signers
}

function warningsOf(policies: PolicySet): string[] {
  const warnings = []
  if (pinnedKeys(policies, 'recovery').length === 0) {
    warnings.push(
      'no recovery key is configured: no account made now can be recovered when its rotation key is lost or stolen; ' +
        'add one to keys.yaml and restart',
    )
  }
  // `readyz` is open to all, so the key has no name here; `keys list` tells which one it is.
  if (policies.keys.some((key) => key.exposed === true)) {
    warnings.push(
      'a rotation key in force has been outside of custody (exposed in keys.yaml): whoever saw it ' +
        'can still sign; plan its replacement',
    )
  }
  return warnings
}
