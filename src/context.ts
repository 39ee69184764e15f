import { performance } from 'node:perf_hooks'
import type pg from 'pg'
import type { Clocks } from './approval/weigh.ts'
import { ConfigError, isInDataDir, publicOrigin, secretPath } from './config.ts'
import type { Config, Secrets } from './config.ts'
import { openSealer, prepareDataDir } from './data-dir.ts'
import { openPolicies } from './development.ts'
import { MAX_CLOCKS_APART_MS } from './custody/request.ts'
import type { PlcDirectory } from './directory/directory.ts'
import { createPlcDirectory } from './directory/plc-http.ts'
import { createPlcSubmit } from './directory/plc-submit.ts'
import type { SubmitOperation } from './directory/submit.ts'
import { openVerifier } from './ecdsa/native.ts'
import { createFreeze } from './freeze.ts'
import type { FreezeSigning } from './freeze.ts'
import { acceptOwnFiles, openInForce } from './in-force.ts'
import type { InForce } from './in-force.ts'
import { createKeyEvents } from './key-events.ts'
import type { KeyEvents } from './key-events.ts'
import { keysPart, openKeys } from './keys.ts'
import type { OpenKeys } from './keys.ts'
import type { Logger } from './logger.ts'
import { openAuditLog, openHeld } from './open-log.ts'
import type { AuditLog } from './open-log.ts'
import { measuredDirectory } from './measured.ts'
import { createMetrics } from './metrics.ts'
import { checkNotifySecrets, noNotifySecrets, openNotifications } from './notifications.ts'
import type { Notifications, NotifySecrets } from './notifications.ts'
import { createPasskeys } from './passkeys.ts'
import type { Metrics } from './metrics.ts'
import type { EcdsaVerify } from './plc/signature.ts'
import type { PolicySet } from './policy/policy-set.ts'
import { pinnedKeys } from './policy/policy-set.ts'
import { NotReady, checkReadiness } from './readiness.ts'
import type { Readiness } from './readiness.ts'
import type { Sealer } from './sealing/sealer.ts'
import type { HeldStore } from './sequencer/held.ts'
import type { Signer } from './signer/signer.ts'
import { openDatabase } from './store/connect.ts'
import type { OpenDatabase } from './store/connect.ts'
import type { Database } from './store/database.ts'
import { recordKey, recordRetired } from './store/key-record.ts'
import { recordPolicies } from './store/policy-sets.ts'
import { createTrustGate } from './trust-gate.ts'
import { createUseCases } from './use-cases.ts'
import { openWitnesses } from './witnesses.ts'
import type { Witnesses } from './witnesses.ts'
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
  /** In force, as the trust record has it. */
  readonly policies: PolicySet
  /** What the files say, where that is something else. */
  readonly candidate: PolicySet | null
  readonly policiesDir: string
  readonly sealer: Sealer
  readonly db: Database
  readonly auditLog: AuditLog
  readonly verify: EcdsaVerify
  readonly metrics: Metrics
  readonly notifications: Notifications
  readonly readiness: () => Promise<Readiness>
  readonly freeze: FreezeSigning
  readonly witnesses: Witnesses
  readonly passkeys: ReturnType<typeof createPasskeys>
  /** By which officers' approvals are weighed. @throws NotReady when they are too far apart */
  readonly clocks: () => Promise<Clocks>
  /** What every start and `readyz` say until somebody acts on it. */
  readonly warnings: readonly string[]
  readonly close: () => Promise<void>
}

export type ContextOptions = {
  readonly config: Config
  readonly secrets: Secrets
  readonly log: Logger
  /** What the service tells people with; commands tell nobody. */
  readonly notify?: NotifySecrets
  /** What vendors' modules may see of it; our own settings are in `config` and `secrets`. */
  readonly environment?: NodeJS.ProcessEnv
  /** Commands that only write rows open no key. */
  readonly withSigners: boolean
  readonly overrides?: Overrides
}

/** The one place where adapters are made. What is missing or does not fit stops here, by name. */
export async function createContext(options: ContextOptions): Promise<Context> {
  const { config, secrets, log, overrides = {} } = options
  await prepareDataDir(config)
  const sealer = await openSealer(config)
  const { dir: policiesDir, policies: files } = await openPolicies(config, sealer)
  if (files.env === 'prod') checkProduction(config, secrets, files)
  const { verify, engine } = openVerifier()
  const metrics = createMetrics({ processMetrics: options.withSigners })
  const events = createKeyEvents({ log, metrics })
  const { environment = {} } = options
  const record = await openRecord(options, files)
  const { policies, candidate } = record
  const keyParts = { config, sealer, policies, environment, metrics, events, verify }
  const keys = options.withSigners
    ? await openKeys(keyParts, overrides.wrapSigner).catch(async (error: unknown) => {
        await closeRecord(record)
        throw error
      })
    : noKeys
  await putOnRecord(options, { ...record, ...keys }, events)
  const { database, held } = record
  const auditLog = await openAuditLog({ config, held, policies, db: database.db, sealer, log })
  const now = () => performance.now()
  const witnesses = openWitnesses({ policies, auditLog, db: database.db, log, now })
  const trust = createTrustGate(held, policies, now)
  // Before anything can be asked for. Commands that only write rows claim nothing.
  if (options.withSigners) await auditLog.look()
  const notifications = openNotifications({
    db: database.db,
    policies,
    secrets: options.notify ?? noNotifySecrets,
    report: ({ target, error }) =>
      log.warn({ event: 'not-told', target, err: error }, `${target} could not be told now`),
  })
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
  let isFrozen = false
  const warnings = [...warningsOf(policies), ...(candidate === null ? [] : [candidateWarning])]
  return {
    config,
    policies,
    candidate,
    policiesDir,
    sealer,
    db: database.db,
    auditLog,
    verify,
    warnings,
    passkeys: createPasskeys({ db: database.db, sealer, origin: publicOrigin(config), verify }),
    freeze: createFreeze({ held, db: database.db, policies, log }),
    metrics,
    notifications,
    clocks: async () => {
      const { apart, ...clocks } = await database.clocks()
      checkClocks(apart)
      return clocks
    },
    ...createUseCases({
      db: database.db,
      sealer,
      policies,
      signers: keys.signers,
      audience: publicOrigin(config),
      directory,
      submitOperation: overrides.submitOperation ?? createPlcSubmit(config.plcUrl),
      verify,
      log,
      metrics,
      gate: auditLog.gate,
      isCosigned: witnesses.isCosigned,
      trust,
      plcUrl: config.plcUrl,
    }),
    witnesses,
    readiness: async () =>
      await checkReadiness(
        [
          { name: 'database', check: async () => await database.ping() },
          keysPart(keys),
          { name: 'clock', check: async () => checkClocks((await database.clocks()).apart) },
          {
            name: 'audit log',
            check: async () => {
              const cause = auditLog.gate.cause()
              if (cause !== null) throw new NotReady(cause)
            },
          },
          {
            name: 'trust',
            check: async () => {
              const { cause, frozen } = await trust.look()
              isFrozen = frozen.length > 0
              if (cause !== null) throw new NotReady(cause)
            },
          },
          { name: 'directory', check: async (signal) => await directory.ping(signal) },
        ],
        // What is frozen has no name here: `readyz` is open to all.
        () => [
          ...warnings,
          ...(isFrozen ? [frozenWarning] : []),
          ...keys.backends.warnings(),
          ...[witnesses.warning()].filter((warning) => warning !== null),
        ],
      ),
    close: async () => {
      await Promise.all([...keys.signers.values()].map(async (signer) => await signer.close()))
      await keys.backends.close()
      await events.close()
      await auditLog.close()
      notifications.close()
      await database.close()
    },
  }
}

type OpenRecord = InForce & { readonly database: OpenDatabase; readonly held: HeldStore }

/** The database and the held record, and what is in force by them. */
async function openRecord(
  { config, secrets, log, withSigners, notify = noNotifySecrets, overrides = {} }: ContextOptions,
  files: PolicySet,
): Promise<OpenRecord> {
  const database = await openDatabase({ ...secrets, ...overrides, dataDir: config.dataDir, log })
  const closing = [async () => await database.close()]
  try {
    const held = await openHeld(config, secrets, database.db)
    closing.push(async () => await held.close())
    const inForce = await openInForce(files, { held, db: database.db })
    if (inForce.policies.env === 'prod') checkProduction(config, secrets, inForce.policies)
    if (withSigners) {
      checkNotifySecrets(inForce.policies, notify)
      checkRelyingParty(config, inForce.policies)
    }
    return { ...inForce, database, held }
  } catch (error) {
    for (const close of closing.toReversed()) await close()
    throw error
  }
}

async function closeRecord({ held, database }: Pick<OpenRecord, 'held' | 'database'>) {
  await held.close()
  await database.close()
}

/** Before anything is decided: what was to be said by now of keys, and of what is in force. */
async function putOnRecord(
  { log, withSigners }: ContextOptions,
  { policies, backends, database, held }: OpenRecord & OpenKeys,
  events: KeyEvents,
): Promise<void> {
  if (!withSigners) return
  try {
    const retired = policies.keys.filter((key) => key.retired === true)
    for (const id of await recordRetired(database.db, retired)) {
      log.info({ event: 'key-retired', key: id }, `key ${id} is retired and signs nothing any more`)
    }
    await recordPolicies(database.db, policies)
    await acceptOwnFiles(held, policies)
    events.recordTo(async (entry) => await recordKey(database.db, entry))
  } catch (error) {
    await backends.close()
    await closeRecord({ held, database })
    throw error
  }
}

/** For commands that open none. */
const noKeys: OpenKeys = {
  signers: new Map(),
  backends: {
    open: async () => {
      throw new TypeError('this command opens no key')
    },
    health: () => [],
    warnings: () => [],
    close: async () => {},
  },
}

/** Expiries are judged by both clocks; with these, nothing is signed. */
function checkClocks(milliseconds: number): void {
  if (milliseconds <= MAX_CLOCKS_APART_MS) return
  throw new NotReady('the clocks of this instance and of Postgres are more than 5 seconds apart')
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

/** A passkey answers at its own host alone: under another name of the service no officer could say anything. */
function checkRelyingParty(config: Config, { roster }: PolicySet): void {
  const hasPasskeys = roster?.persons.some(({ credentials }) =>
    credentials.some(({ kind }) => kind === 'webauthn'),
  )
  if (roster === null || hasPasskeys !== true) return
  const { hostname } = new URL(publicOrigin(config))
  if (hostname === roster.rp.id || hostname.endsWith(`.${roster.rp.id}`)) return
  throw new ConfigError(
    `HOLDFAST_PUBLIC_URL: its host is ${hostname}, and the officers’ passkeys are of ${roster.rp.id} (rp in roster.yaml); under another host every passkey is void`,
  )
}

const frozenWarning =
  'signing is frozen, for everything or in part; see scripts/holdfast trust show'

const candidateWarning =
  'the policy files are not what is in force: they are a candidate; see scripts/holdfast trust show'

function warningsOf(policies: PolicySet): string[] {
  const warnings = []
  if (pinnedKeys(policies, 'recovery').length === 0) {
    warnings.push(
      'no recovery key is configured: no account made now can be recovered when its rotation key is lost or stolen; ' +
        'make one with scripts/ceremony keygen, add its line to keys.yaml and restart',
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
