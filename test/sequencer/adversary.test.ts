import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { formatVkey } from '../../src/audit/note.ts'
import { verifyEd25519 } from '../../src/ed25519/openssl.ts'
import { startJobs } from '../../src/jobs.ts'
import type { Jobs } from '../../src/jobs.ts'
import { exportLog } from '../../src/sequencer/export-log.ts'
import { LogBroken } from '../../src/sequencer/log-broken.ts'
import { runAuditVerify } from '../support/audit-verify.ts'
import { bodiesOf } from '../support/audit-log.ts'
import { checkpointOf, serveAnyway } from '../support/exported-log.ts'
import type { LogSigner } from '../support/exported-log.ts'
import { openInstance } from '../support/instance.ts'
import type { Instance } from '../support/instance.ts'
import { genesisOf } from '../support/operations.ts'
import { createTestDatabase, testServer } from '../support/postgres.ts'
import type { TestDatabase } from '../support/postgres.ts'

// Postgres's superuser against the running service, and against the auditor. What is changed is older than
// a checkpoint. The service must find it and sign nothing from then on; all that it released is compared with
// a list of what was asked for while nothing was wrong. An auditor who kept a checkpoint must find it in what
// is served afterwards, even when the superuser has the key of the checkpoints as well.

/** As `src/store/audit-log.ts` names it. */
const SEQUENCER_LOCK = 0x686f6c66

const silent = pino({ level: 'silent' })

let database: TestDatabase
let dataDir: string
let service: Instance
let jobs: Jobs
/** Handles of the accounts that were rightly signed for. */
let asked: string[]
/** What the service logged. */
let lines: Record<string, unknown>[]
/** What the auditor has from before: a checkpoint, and the key that signs them. */
let kept: { readonly checkpoint: string; readonly signer: LogSigner }

beforeEach(async () => {
  database = await createTestDatabase()
  dataDir = await mkdtemp(join(tmpdir(), 'holdfast-adversary-'))
  asked = []
  await start(database)
  for (let count = 0; count < 4; count += 1) await signOne()
  await checkpointed()
  kept = await keep()
})
afterEach(async () => {
  await stop()
  await rm(dataDir, { recursive: true })
  await database.drop()
})

async function start(on: Pick<TestDatabase, 'url'>): Promise<void> {
  lines = []
  const log = pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) })
  service = await openInstance({ dataDir, databaseUrl: on.url, log })
  jobs = startJobs(service.context, silent)
}

async function stop(): Promise<void> {
  await jobs.stop()
  await service.close()
}

const cause = () => service.context.auditLog.gate.cause()

async function signOne(): Promise<void> {
  const name = `account-${randomBytes(4).toString('hex')}`
  const answer = await service.sign(genesisOf(name, [service.key.did]))
  if (answer.kind === 'signed') asked.push(name)
  expect(answer.kind).toBe('signed')
}

/** All that is in the outbox is in the log, and the held record has all of the log. */
async function checkpointed(on = service): Promise<void> {
  await expect
    .poll(async () => {
      const { rows } = await on.pool.query<{ waiting: number; size: number }>(
        'select (select count(*)::int from audit_outbox) as waiting, size::int from audit_head',
      )
      const held = await on.context.auditLog.held.read()
      const published = await on.context.auditLog.store.checkpoint()
      return rows[0]?.waiting === 0 && held?.size === rows[0].size && published?.size === held.size
    })
    .toBe(true)
}

async function keep(on = service): Promise<typeof kept> {
  const { held, signerFor, store } = on.context.auditLog
  const { origin = '' } = (await held.read()) ?? {}
  const signer = signerFor(origin)
  if (signer === null) throw new Error('no key of the checkpoints')
  const checkpoint = join(dataDir, 'kept-checkpoint')
  await writeFile(checkpoint, (await store.checkpoint())?.note ?? '')
  return { checkpoint, signer: { ...signer, origin, vkey: formatVkey(signer.key) } }
}

/** Exit code of `audit verify` for what is in the database now, under this checkpoint or the one that it has. */
async function judged(note: string | null, on = service): Promise<number> {
  const { signer, checkpoint } = kept
  const { rows } = await on.pool.query<{ note: string }>('select note from audit_checkpoint')
  const shown = note ?? rows[0]?.note ?? ''
  const size = Number(shown.split('\n')[1])
  const bodies = (await bodiesOf(on.pool)).slice(0, size)
  const dir = await serveAnyway(bodies, { note: shown, vkey: signer.vkey })
  try {
    return (await runAuditVerify(dir, '--checkpoint', checkpoint)).code
  } finally {
    await rm(dir, { recursive: true })
  }
}

/** The same, of a superuser who has the key and signs whatever is there. */
async function judgedForged(on = service): Promise<number> {
  const { note } = checkpointOf(await bodiesOf(on.pool), kept.signer)
  return await judged(note, on)
}

async function administer(on: TestDatabase, ...statements: string[]): Promise<void> {
  const admin = new Client(on.administrator)
  await admin.connect()
  try {
    await admin.query(statements.join(';\n'))
  } finally {
    await admin.end()
  }
}

async function copyOf(original: TestDatabase): Promise<TestDatabase> {
  const name = `copy_${randomBytes(8).toString('hex')}`
  const { administrator } = await testServer()
  const server = { ...original, administrator }
  await administer(
    server,
    `create database ${name} template ${original.connection.database} owner ${original.owner.user}`,
  )
  const url = new URL(original.url)
  url.pathname = `/${name}`
  return {
    connection: { ...original.connection, database: name },
    owner: { ...original.owner, database: name },
    administrator: { ...original.administrator, database: name },
    url: url.href,
    drop: async () => await administer(server, `drop database ${name} with (force)`),
  }
}

/** Triggers off, the deed, triggers on again as they were: nothing of it is left to be seen. */
const unseen = (...statements: string[]) => [
  'alter table audit_entries disable trigger all',
  ...statements,
  'alter table audit_entries enable always trigger audit_entries_rows',
  'alter table audit_entries enable always trigger audit_entries_truncate',
]

/** With the exit code of `audit verify` for what the superuser can show an auditor. */
const rewrites: Record<string, { deeds: string[]; code: 1 | 2 }> = {
  'edits an entry': {
    code: 1,
    deeds: unseen(`update audit_entries set body = body || '\\x00' where idx = 3`),
  },
  'edits an entry with its leaf': {
    code: 1,
    deeds: unseen(
      `update audit_entries set body = '\\xa0', leaf = sha256('\\x00a0') where idx = 3`,
    ),
  },
  'deletes an entry': { code: 2, deeds: unseen('delete from audit_entries where idx = 3') },
  'deletes an entry and closes the gap': {
    code: 2,
    deeds: unseen(
      'delete from audit_entries where idx = 3',
      'update audit_entries set idx = idx - 1000 where idx > 3',
      'update audit_entries set idx = idx + 999 where idx < 0',
      'update audit_head set size = size - 1',
    ),
  },
  'changes the order of two entries': {
    code: 1,
    deeds: unseen(
      `update audit_entries set body = (select body from audit_entries other where other.idx = 7 - audit_entries.idx)
     where idx in (3, 4)`,
    ),
  },
  'cuts the tail off': {
    code: 2,
    deeds: unseen('delete from audit_entries where idx > 4', 'update audit_head set size = 5'),
  },
  'truncates the log': {
    code: 2,
    deeds: unseen('truncate audit_entries', `update audit_head set size = 0, peaks = ''`),
  },
  'adds an entry that nobody wrote, and takes another one out of the order': {
    code: 1,
    deeds: unseen(
      'update audit_entries set idx = -1 where idx = 3',
      `insert into audit_entries (idx, leaf, body) values (3, sha256(''), '\\xa0')`,
    ),
  },
}

/** The log is as it was, and would not be safe for long. */
const openings: Record<string, string[]> = {
  'disables a trigger': ['alter table audit_entries disable trigger audit_entries_rows'],
  'drops the trigger of truncate': ['drop trigger audit_entries_truncate on audit_entries'],
  'makes the triggers do nothing': [
    `create or replace function audit_log_is_append_only() returns trigger language plpgsql as
     $$ begin return new; end $$`,
  ],
}

/** Undone in the same transaction, or without an effect on what is written. */
const undone: Record<string, string[]> = {
  'disables the triggers and enables them again': unseen(),
  'rewinds the sequence of the outbox': [`select setval('audit_outbox_id_seq', 1)`],
}

const stops = () => lines.filter((line) => line['event'] === 'signing-stopped')

async function attack(statements: readonly string[]): Promise<void> {
  await administer(database, 'begin', ...statements, 'commit')
  await expect.poll(() => stops().length, { timeout: 5_000 }).toBeGreaterThan(0)
}

/** As `audit export` does it. */
async function exportNow(): Promise<void> {
  const folder = { read: async () => null, write: async () => {}, replace: async () => {} }
  const { key } = kept.signer
  const options = { key, verify: verifyEd25519, progress: () => {} }
  await exportLog(service.context.auditLog.store, folder, options)
}

/** And stays so, long after one period. */
async function isStopped(): Promise<void> {
  expect(stops()[0]).toMatchObject({ alarm: true })
  const answer = await service.sign(genesisOf('too-late', [service.key.did]))
  expect(answer).toMatchObject({
    kind: 'busy',
    message: expect.stringContaining('signing is stopped'),
  })
  const ready = await service.context.readiness()
  expect(ready.parts['audit log']).toEqual({ ok: false, message: cause() })
  await sleep(500)
  expect(cause()).not.toBeNull()
  // The independent list: nothing was released but what was asked for while all was well.
  expect(service.released).toHaveLength(asked.length)
}

describe('a superuser who', () => {
  test.each(Object.entries(rewrites))(
    '%s: nothing is signed, and an auditor sees it',
    async (_what, { deeds, code }) => {
      await attack(deeds)
      await isStopped()
      // Under the checkpoints that there are, and under new ones by a thief of the key.
      expect(await judged(null)).toBe(code)
      expect(await judgedForged()).toBe(1)
      await expect(exportNow()).rejects.toBeInstanceOf(LogBroken)
    },
  )

  test.each(Object.entries(openings))(
    '%s: nothing is signed, and what was written is sound',
    async (_what, deeds) => {
      await attack(deeds)
      await isStopped()
      expect(await judged(null)).toBe(0)
    },
  )

  test.each(Object.entries(undone))(
    '%s: alarms, and signing goes on when the whole log has proven right',
    async (_what, statements) => {
      await attack(statements)
      expect(stops()[0]).toMatchObject({ alarm: true })
      await expect.poll(cause, { timeout: 5_000 }).toBeNull()
      await signOne()
      expect(service.released).toHaveLength(asked.length)
      await checkpointed()
      expect(await judged(null)).toBe(0)
    },
  )
})

test('a checkpoint that was written over in the database is put right from the held record', async () => {
  const [before] = (await service.pool.query('select note from audit_checkpoint')).rows
  await administer(database, `update audit_checkpoint set note = 'another history'`)
  await expect
    .poll(async () => (await service.pool.query('select note from audit_checkpoint')).rows[0])
    .toEqual(before)
})

describe("yesterday's backup", () => {
  test('restored beside the held record: not ready, nothing is signed and nothing appended', async () => {
    await stop()
    const backup = await copyOf(database)
    await start(database)
    await signOne()
    await checkpointed()
    kept = await keep()
    await stop()
    await start(backup)
    await sleep(300)
    const waiting = await service.sign(genesisOf('forgotten', [service.key.did]))

    expect(cause()).toContain('the database is behind the held record: it has')
    expect(waiting.kind).toBe('busy')
    const ready = await service.context.readiness()
    expect(ready.ready).toBe(false)
    expect(await judged(null)).toBe(1)
    await stop()
    await start(database)
    expect(cause()).toBeNull()
    expect(await judged(null)).toBe(0)
    await backup.drop()
  })

  test('on a fresh host, without the held record: not ready', async () => {
    await stop()
    const kept = dataDir
    dataDir = await mkdtemp(join(tmpdir(), 'holdfast-fresh-'))
    await start(database)

    expect(cause()).toContain('there is no held record, and the log in the database is not empty')
    expect((await service.sign(genesisOf('fresh', [service.key.did]))).kind).toBe('busy')
    await rm(kept, { recursive: true })
  })
})

test('of two copies that go on from the same log, one is stopped', async () => {
  await stop()
  const fork = await copyOf(database)
  await start(database)
  const other = await openInstance({ dataDir, databaseUrl: fork.url })
  const otherJobs = startJobs(other.context, silent)
  const sign = async (instance: Instance) => {
    const handle = `fork-${randomBytes(4).toString('hex')}`
    return await instance.sign(genesisOf(handle, [instance.key.did]))
  }
  await expect
    .poll(
      async () => {
        await sign(service)
        await sign(other)
        return [cause(), other.context.auditLog.gate.cause()].filter((why) => why !== null).length
      },
      { timeout: 10_000 },
    )
    .toBe(1)
  const [whole, stopped] = cause() === null ? [service, other] : [other, service]
  await checkpointed(whole)
  kept = await keep(whole)
  expect(await judged(null, whole)).toBe(0)
  expect(await judged(null, stopped)).toBe(1)
  expect(await judgedForged(stopped)).toBe(1)
  await otherJobs.stop()
  await other.close()
  await fork.drop()
})

test('two instances hand over within a second', async () => {
  const other = await openInstance({ dataDir, databaseUrl: database.url })
  const otherJobs = startJobs(other.context, silent)
  // The elected one loses its connection, as a host does that dies.
  await administer(
    database,
    `select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted
       and objid = ${SEQUENCER_LOCK} and database = (select oid from pg_database where datname = current_database())`,
  )
  await jobs.stop()
  const handedOver = performance.now()
  await other.sign(genesisOf('handed-over', [other.key.did]))
  await expect
    .poll(
      async () => {
        const { rows } = await other.pool.query('select count(*)::int as waiting from audit_outbox')
        const { range } = await other.context.auditLog.store.head()
        return (
          rows[0]?.waiting === 0 && (await other.context.auditLog.held.read())?.size === range.size
        )
      },
      { interval: 20, timeout: 5_000 },
    )
    .toBe(true)
  expect(performance.now() - handedOver).toBeLessThan(10_000)
  await otherJobs.stop()
  await other.close()
  jobs = startJobs(service.context, silent)
})
