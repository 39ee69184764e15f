import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { Pool } from 'pg'
import { enrolLogs } from '../../src/campaign/enrol-logs.ts'
import { linesOf } from '../../src/files/lines.ts'
import type { Outcome } from '../../src/campaign/outcome.ts'
import type { EnrolmentStore } from '../../src/custody/enroll.ts'
import { parsePolicySet } from '../../src/policy/parse.ts'
import { createSealer } from '../../src/sealing/sealer.ts'
import { createDatabase, createPool } from '../../src/store/database.ts'
import { createEnrolmentStore } from '../../src/store/enrolment.ts'
import { keyNamed, verify } from '../plc/build-log.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { createTestDatabase } from '../support/postgres.ts'
import { watchPool } from '../support/watched-pool.ts'
import type { Watch } from '../support/watched-pool.ts'

export const online = await keyNamed('enrolment online')
export const recovery = await keyNamed('enrolment recovery')

const shippedPolicy = new URL('../../policies/policy.yaml', import.meta.url)

/** A store on real Postgres, and two callers who may use one key. */
export async function openEnrolment() {
  const database = await createTestDatabase()
  const watch: Watch = {}
  const pool = watchPool(createPool(database.connection), {
    before: async (statement) => await watch.before?.(statement),
    after: async (statement) => await watch.after?.(statement),
  })
  pool.on('error', () => {})
  const store = createEnrolmentStore(createDatabase(pool), createSealer(randomBytes(32)))
  const deps = { store, policies: await policies(), verify, clock: createFakeClock() }
  return {
    pool,
    watch,
    store,
    deps,
    /** Enrols a file of these lines; what is no text is written as JSON. */
    async logs(
      lines: readonly unknown[],
      options: { caller?: string; store?: EnrolmentStore } = {},
    ) {
      const { caller = 'pds', store: used = store } = options
      const text = lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line)))
      const outcomes: Outcome[] = []
      const stream = (async function* () {
        yield await Promise.resolve(Buffer.from(text.map((line) => `${line}\n`).join('')))
      })()
      await enrolLogs(
        linesOf(stream, { maxBytes: 1_000_000 }),
        { ...deps, store: used },
        { caller, report: (outcome) => void outcomes.push(outcome) },
      )
      return outcomes
    },
    inCare: async (did: string) => await inCare(pool, did),
    async close(): Promise<void> {
      await pool.end()
      await database.drop()
    },
  }
}

async function policies() {
  const did = online.did()
  const key = { id: 'pds', class: 'online', curve: 'K-256', did, uri: 'file:pds' }
  const list = ['pds', 'other'].map((name) => ({ name, keys: ['pds'] }))
  return parsePolicySet({
    keys: JSON.stringify({ keys: 'holdfast/keys/v1', list: [key] }),
    callers: JSON.stringify({ callers: 'holdfast/callers/v1', list }),
    policy: await readFile(shippedPolicy, 'utf8'),
  })
}

/** All that is kept of one identity; null when it is not in care. */
async function inCare(pool: Pool, did: string) {
  const identity = await pool.query<{ caller: string }>(
    'select caller from identities where did = $1',
    [did],
  )
  const operations = await pool.query<{ cid: string; nullified: boolean }>(
    'select cid, nullified from operations where did = $1 order by recorded_at',
    [did],
  )
  const entries = await pool.query(
    `select 1 from audit_outbox where kind = 'did.enrolled' and subject = $1`,
    [did],
  )
  const [row] = identity.rows
  if (row === undefined) return operations.rows.length + entries.rows.length === 0 ? null : 'torn'
  return {
    caller: row.caller,
    cids: operations.rows.map(({ cid }) => cid),
    nullified: operations.rows.filter(({ nullified }) => nullified).map(({ cid }) => cid),
    entries: entries.rows.length,
  }
}
