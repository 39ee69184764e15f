import { randomUUID } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import type { Config, Secrets } from './config.ts'
import { withTrust } from './in-force.ts'
import type { Logger } from './logger.ts'
import type { PolicySet } from './policy/policy-set.ts'
import { emptyRange, rootOf } from './audit/merkle.ts'
import type { CheckpointSigner } from './audit/checkpoint.ts'
import {
  checkpointSigner,
  makeCheckpointKey,
  openCheckpointKey,
} from './sequencer/checkpoint-key.ts'
import { createHeldFile } from './sequencer/held-file.ts'
import type { Held, HeldStore } from './sequencer/held.ts'
import { createLogService } from './sequencer/log-service.ts'
import { proveEntry } from './sequencer/prove.ts'
import { verifyEd25519 } from './ed25519/openssl.ts'
import type { LogEvent, LogService } from './sequencer/log-service.ts'
import type { AuditLogStore } from './sequencer/ports.ts'
import { createAuditLogStore } from './store/audit-log.ts'
import type { Sealer } from './sealing/sealer.ts'
import type { Database } from './store/database.ts'
import { openHeldPostgres } from './store/held-postgres.ts'
import { readTraces, selfTest } from './store/self-test.ts'

export type AuditLog = LogService & {
  readonly store: AuditLogStore
  readonly held: HeldStore
  readonly signerFor: (origin: string) => CheckpointSigner | null
  /** A receipt for an entry that a checkpoint covers. */
  prove(index: number): Promise<string>
  close(): Promise<void>
}

/** The audit log with its checkpoint key and held record; nothing is looked at yet. */
export async function openAuditLog(options: {
  config: Config
  held: HeldStore
  policies: PolicySet
  db: Database
  sealer: Sealer
  log: Logger
}): Promise<AuditLog> {
  const { config, held, policies, db } = options
  const key = await keyFor({ config, env: policies.env }, held)
  const store = createAuditLogStore(db.$client, options.sealer)
  const signerFor = (origin: string) => (key === null ? null : checkpointSigner(key, origin))
  const service = createLogService({
    store,
    held,
    signerFor,
    firstHeld: policies.env === 'dev' ? () => withTrust(firstHeld(config), policies) : null,
    selfTest: async () => await selfTest(db.$client),
    traces: async () => await readTraces(db.$client),
    report: reportTo(options.log),
    now: () => performance.now(),
  })
  return {
    ...service,
    store,
    held,
    signerFor,
    prove: async (index) => {
      const record = await held.read()
      const signer = record === null ? null : signerFor(record.origin)
      if (signer === null) throw new Error('there is no held record, or no checkpoint key')
      return await proveEntry(store, index, { key: signer.key, verify: verifyEd25519 })
    },
    close: async () => {
      await service.resign()
      await held.close()
    },
  }
}

export async function openHeld(
  config: Config,
  { checkpointStoreUrl }: Secrets,
  db: Database,
): Promise<HeldStore> {
  if (checkpointStoreUrl !== null) return await openHeldPostgres(checkpointStoreUrl, db.$client)
  return createHeldFile(config.checkpointDir)
}

/** The record of a log that begins. Its name is the service's, and no other log's. */
export function firstHeld({ publicUrl }: Config): Held {
  const storeId = randomUUID()
  const host = publicUrl === null ? 'localhost' : new URL(publicUrl).host
  return {
    storeId,
    origin: `${host}/audit/${storeId}`,
    size: 0,
    root: rootOf(emptyRange),
    trust: null,
    frozen: [],
  }
}

/** A development start makes the key, before there is a log; later it is missed. */
async function keyFor(
  { config, env }: { config: Config; env: 'dev' | 'prod' },
  held: HeldStore,
): Promise<Awaited<ReturnType<typeof openCheckpointKey>>> {
  const key = await openCheckpointKey(config.checkpointKeyFile)
  if (key !== null || env !== 'dev' || (await held.read().catch(() => null)) !== null) return key
  await makeCheckpointKey(config.checkpointKeyFile)
  return await openCheckpointKey(config.checkpointKeyFile)
}

function reportTo(log: Logger): (event: LogEvent) => void {
  return (event) => {
    switch (event.kind) {
      case 'signing-stopped':
        return log.error(
          { alarm: true, event: event.kind, cause: event.cause, err: event.error },
          `nothing is signed: ${event.cause}`,
        )
      case 'signing-resumed':
        return log.info({ event: event.kind }, 'the audit log is whole; signing is open')
      case 'elected':
        return log.info({ event: event.kind, epoch: event.epoch }, 'sequences the audit log')
      case 'term-over':
        return log.warn({ event: event.kind, err: event.error }, 'does not sequence any more')
    }
  }
}
