import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { KeyObject } from 'node:crypto'
import { decode } from '@ipld/dag-cbor'
import type { Client, Pool } from 'pg'
import { openCheckpoint } from '../../src/audit/checkpoint.ts'
import { appendLeaves, emptyRange, hashLeaf, rootOf } from '../../src/audit/merkle.ts'
import { encodeEntry } from '../../src/audit/entry.ts'
import { verifyEd25519 } from '../../src/ed25519/openssl.ts'
import { createSealer } from '../../src/sealing/sealer.ts'
import type { Sealer } from '../../src/sealing/sealer.ts'
import { checkpointSigner } from '../../src/sequencer/checkpoint-key.ts'
import { createHeldFile } from '../../src/sequencer/held-file.ts'
import type { HeldStore } from '../../src/sequencer/held.ts'
import { createLogService } from '../../src/sequencer/log-service.ts'
import type { LogEvent, LogService } from '../../src/sequencer/log-service.ts'
import { createAuditLogStore } from '../../src/store/audit-log.ts'
import { createPool } from '../../src/store/database.ts'
import { readTraces, selfTest } from '../../src/store/self-test.ts'
import { outsidePool } from './postgres.ts'
import type { TestDatabase } from './postgres.ts'

export type TestLog = Awaited<ReturnType<typeof openTestLog>>

/** Of the run: a process of its own is told it. */
export const testKey = generateKeyPairSync('ed25519').privateKey

/** The audit log of one instance over a real database, as the service builds it, without its timers. */
export async function openTestLog(
  database: TestDatabase,
  options: {
    heldDir?: string
    held?: HeldStore
    mayBegin?: boolean
    pool?: Pool
    key?: KeyObject
    sealer?: Sealer
  } = {},
) {
  const heldDir = options.heldDir ?? (await mkdtemp(join(tmpdir(), 'holdfast-held-')))
  const pool = options.pool ?? createPool(database.connection)
  pool.on('error', () => {})
  const outside = outsidePool(database)
  const store = createAuditLogStore(pool, options.sealer ?? createSealer(randomBytes(32)))
  const held = options.held ?? createHeldFile(heldDir)
  const events: LogEvent[] = []
  const signerFor = (origin: string) => checkpointSigner(options.key ?? testKey, origin)
  const service: LogService = createLogService({
    store,
    held,
    signerFor,
    firstHeld: options.mayBegin === false ? null : firstHeld,
    selfTest: async () => await selfTest(pool),
    traces: async () => await readTraces(pool),
    report: (event) => events.push(event),
    now: () => performance.now(),
  })
  return {
    ...service,
    pool,
    outside,
    store,
    held,
    heldDir,
    events,
    signerFor,
    /** Entries of their own transaction, as the service writes them. */
    append: async (count: number) => await appendEntries(pool, count),
    /** All that waits is appended and checkpointed. */
    async settle(): Promise<void> {
      await service.look()
      while ((await service.sequence()) > 0);
      await service.look()
    },
    async close(): Promise<void> {
      await service.resign()
      await Promise.all([pool.end(), outside.end()])
      if (options.heldDir === undefined) await rm(heldDir, { recursive: true })
    },
  }
}

const firstHeld = () => {
  const storeId = randomUUID()
  return {
    storeId,
    origin: `test/audit/${storeId}`,
    size: 0,
    root: rootOf(emptyRange),
    trust: null,
    frozen: [],
  }
}

export async function appendEntries(pool: Pick<Pool, 'query'>, count: number): Promise<void> {
  const entries = Array.from({ length: count }, (_, index) =>
    encodeEntry(
      { kind: 'did.enrolled', did: randomUUID(), caller: 'pds', head: String(index) },
      new Date(),
    ),
  )
  await pool.query(
    `insert into audit_outbox (kind, subject, body)
     select * from unnest($1::text[], $2::text[], $3::bytea[])`,
    [
      entries.map(({ kind }) => kind),
      entries.map(({ subject }) => subject),
      entries.map(({ body }) => Buffer.from(body)),
    ],
  )
}

/** What is in the log and behind it in the outbox, in order. */
export async function entriesOf(
  pool: Pick<Pool, 'query'> | Client,
): Promise<{ position: number; body: Record<string, unknown> }[]> {
  const { rows } = await pool.query<{ body: Buffer }>(
    `select body from (select 0 as part, idx as place, body from audit_entries
     union all select 1, id, body from audit_outbox) record order by part, place`,
  )
  return rows.map(({ body }, position) => ({
    position,
    body: decode<Record<string, unknown>>(new Uint8Array(body)),
  }))
}

export async function bodiesOf(pool: Pick<Pool, 'query'>): Promise<Uint8Array[]> {
  const { rows } = await pool.query<{ body: Buffer }>('select body from audit_entries order by idx')
  return rows.map(({ body }) => new Uint8Array(body))
}

/**
 * The size of a log that is whole, computed here from the bodies alone: contiguous, and what the held
 * record and the published checkpoint say.
 */
export async function wholeSizeOf(log: TestLog): Promise<number> {
  const bodies = await bodiesOf(log.pool)
  const size = bodies.length
  const { rows } = await log.pool.query('select max(idx)::int + 1 as size from audit_entries')
  const root = Buffer.from(rootOf(appendLeaves(emptyRange, bodies.map(hashLeaf))))
  const held = await log.held.read()
  const note = (await log.store.checkpoint())?.note ?? ''
  const keys = [log.signerFor(held?.origin ?? '').key]
  const opened = openCheckpoint(Buffer.from(note), keys, verifyEd25519)
  const facts = {
    'an index is missing': rows[0]?.size === size,
    'the held record has another size': held?.size === size,
    'the held record has another root': root.equals(held?.root ?? new Uint8Array()),
    'the checkpoint has another size': opened.size === size,
    'the checkpoint has another root': root.equals(opened.root),
  }
  for (const [what, holds] of Object.entries(facts)) if (!holds) throw new Error(what)
  return size
}
