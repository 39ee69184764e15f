import type { Pool, PoolClient } from 'pg'
import type { CompactRange } from '../audit/merkle.ts'
import type { Sealer } from '../sealing/sealer.ts'
import { compactRange, HASH_BYTES } from '../audit/merkle.ts'
import { lookedUpKinds } from './look-up.ts'
import { encodeEntry } from '../audit/entry.ts'
import { isIndexed, lookUpOf, putBackRows } from './put-back.ts'
import type { Advance, AuditLogStore, LogHead, Plan, Sequencing } from '../sequencer/ports.ts'

/** Any fixed number: it names the sequencer's lock among the advisory locks of this database. */
const SEQUENCER_LOCK = 0x686f6c66

type HeadRow = { epoch: string; size: string; peaks: Buffer; now: Date }

const readHead = 'select epoch, size, peaks, clock_timestamp() as now from audit_head where id = 1'

/** The Merkle log in Postgres. All that it tells is to be believed only as far as hashes prove it. */
export function createAuditLogStore(pool: Pool, sealer: Sealer): AuditLogStore {
  return {
    head: async () => {
      const { rows } = await pool.query<HeadRow>(readHead)
      return headOf(rows)
    },
    bodies: async (from, to) => {
      const { rows } = await pool.query<{ idx: string; body: Buffer; look_up: string | null }>({
        name: 'holdfast_log_bodies',
        text: 'select idx, body, look_up from audit_entries where idx >= $1 and idx < $2 order by idx',
        values: [from, to],
      })
      return rows.map(({ idx, body, look_up: lookUp }) => ({
        index: Number(idx),
        body: new Uint8Array(body),
        indexed: isIndexed(body, lookUp),
      }))
    },
    leaves: async (from, to) => {
      const { rows } = await pool.query<{ leaf: Buffer }>(
        'select leaf from audit_entries where idx >= $1 and idx < $2 order by idx',
        [from, to],
      )
      return rows.map(({ leaf }) => new Uint8Array(leaf))
    },
    tiles: async (level, from, to) => {
      const { rows } = await pool.query<{ hashes: Buffer }>(
        'select hashes from audit_tiles where level = $1 and idx >= $2 and idx < $3 order by idx',
        [level, from, to],
      )
      return rows.map(({ hashes }) => new Uint8Array(hashes))
    },
    isEmpty: async () => {
      const { rows } = await pool.query<{ empty: boolean }>(
        'select size = 0 and not exists (select from audit_entries) as empty from audit_head where id = 1',
      )
      return rows[0]?.empty === true
    },
    checkpoint: async () => {
      const { rows } = await pool.query<{ size: string; note: string }>(
        'select size, note from audit_checkpoint where id = 1',
      )
      const [row] = rows
      return row === undefined || row.note === '' ? null : { ...row, size: Number(row.size) }
    },
    publish: async ({ size, note }) => {
      await pool.query('update audit_checkpoint set size = $1, note = $2 where id = 1', [
        size,
        note,
      ])
    },
    elect: async () => await elect(pool, sealer),
  }
}

/** null: another instance has the lock. Its connection is its term: when it breaks, the lock is free. */
async function elect(pool: Pool, sealer: Sealer): Promise<Sequencing | null> {
  const client = await pool.connect()
  let broken: Error | undefined
  const onError = (error: Error) => (broken = error)
  client.once('error', onError)
  try {
    const { rows } = await client.query<{ elected: boolean }>(
      'select pg_try_advisory_lock($1) as elected',
      [SEQUENCER_LOCK],
    )
    if (rows[0]?.elected !== true) {
      client.off('error', onError)
      client.release()
      return null
    }
    const term = await client.query<HeadRow>(
      'update audit_head set epoch = epoch + 1 where id = 1 returning epoch, size, peaks, clock_timestamp() as now',
    )
    const head = headOf(term.rows)
    return {
      head,
      drain: async (limit, advance) => await drain(client, head.epoch, { limit, advance }),
      putBack: async (plan) =>
        await inTerm(client, head.epoch, async (now) => {
          await putBack({ client, sealer }, head.epoch, plan(now))
        }),
      restore: async (plans, said) =>
        await inTerm(client, head.epoch, async (now) => {
          for await (const plan of plans(now)) await putBack({ client, sealer }, head.epoch, plan)
          const { kind, subject, body } = encodeEntry(said, now.now)
          await client.query('insert into audit_outbox (kind, subject, body) values ($1, $2, $3)', [
            kind,
            subject,
            Buffer.from(body),
          ])
        }),
      resign: async () => {
        // Said, so that another is elected at once; the connection's end would say so too.
        if (broken === undefined)
          await client
            .query('select pg_advisory_unlock($1)', [SEQUENCER_LOCK])
            .catch(() => undefined)
        client.release(true)
      },
    }
  } catch (error) {
    client.release(true)
    throw error
  }
}

/**
 * Bodies stay where they are: Postgres hashes and moves them (RFC 6962 leaves), and tells the hashes.
 * Whether those are right is proven later, by whoever checkpoints, from the bodies alone.
 */
const takeStatement = {
  name: 'holdfast_log_take',
  text: `
    with taken as (
      delete from audit_outbox where id = any(array(
        select id from audit_outbox order by id limit $1 for update skip locked))
      returning id, kind, subject, body
    ), numbered as (
      select $2::bigint + row_number() over (order by id) - 1 as idx, kind, subject, body,
        sha256('\\x00'::bytea || body) as leaf
      from taken
    ), appended as (
      insert into audit_entries (idx, leaf, body, look_up)
      select idx, leaf, body, case when kind = any($3::text[]) then kind || ' ' || subject end
      from numbered
    )
    select leaf from numbered order by idx`,
}

const appendStatement = {
  name: 'holdfast_log_append',
  text: `
    with appended as (
      insert into audit_entries (idx, leaf, body, look_up)
      select * from unnest($2::bigint[], $3::bytea[], $4::bytea[], $5::text[])
    ), tiled as (
      insert into audit_tiles (level, idx, hashes)
      select * from unnest($6::int[], $7::bigint[], $8::bytea[])
    )
    update audit_head set size = $9, peaks = $10 where id = 1 and epoch = $1`,
}

/**
 * One transaction: takes entries out of the outbox and appends them. Whatever dies before its commit
 * leaves them where they were. Taking by deleting misses no entry whose transaction committed late.
 */
async function drain(
  client: PoolClient,
  epoch: number,
  { limit, advance }: { limit: number; advance: Advance },
): Promise<number> {
  return await inTerm(client, epoch, async (head) => {
    const { rows } = await client.query<{ leaf: Buffer }>({
      ...takeStatement,
      values: [limit, head.range.size, lookedUpKinds],
    })
    if (rows.length === 0) return 0
    const advanced = advance(
      head,
      rows.map(({ leaf }) => new Uint8Array(leaf)),
    )
    await append(client, epoch, { entries: [], ...advanced })
    return rows.length
  })
}

async function putBack(
  { client, sealer }: { readonly client: PoolClient; readonly sealer: Sealer },
  epoch: number,
  { entries, ...rest }: Plan,
): Promise<void> {
  const found = entries.map((entry) => ({ ...entry, lookUp: lookUpOf(entry.body) }))
  await append(client, epoch, { entries: found, ...rest })
  await client.query('delete from audit_outbox where body = any($1::bytea[])', [
    found.map(({ body }) => Buffer.from(body)),
  ])
  for (const { body } of found) await putBackRows({ client, sealer }, body)
}

async function inTerm<T>(
  client: PoolClient,
  epoch: number,
  work: (head: LogHead) => Promise<T>,
): Promise<T> {
  try {
    await client.query('begin')
    const { rows } = await client.query<HeadRow>({
      name: 'holdfast_log_head',
      text: `${readHead} for update`,
    })
    const head = headOf(rows)
    if (head.epoch !== epoch) throw new Error('another instance was elected')
    const result = await work(head)
    await client.query('commit')
    return result
  } catch (error) {
    await client.query('rollback').catch(() => undefined)
    throw error
  }
}

async function append(client: PoolClient, epoch: number, plan: Plan): Promise<void> {
  const { entries, tiles, range } = plan
  const { rowCount } = await client.query({
    ...appendStatement,
    values: [
      epoch,
      entries.map(({ index }) => index),
      entries.map(({ leaf }) => Buffer.from(leaf)),
      entries.map(({ body }) => Buffer.from(body)),
      entries.map(({ lookUp }) => lookUp),
      tiles.map(({ level }) => level),
      tiles.map(({ index }) => index),
      tiles.map(({ hashes }) => Buffer.concat(hashes)),
      range.size,
      Buffer.concat(range.peaks),
    ],
  })
  if (rowCount !== 1) throw new Error('another instance was elected')
}

function headOf(rows: readonly HeadRow[]): LogHead {
  const [row] = rows
  if (row === undefined) throw new Error('audit_head has no row')
  return { epoch: Number(row.epoch), range: rangeOf(Number(row.size), row.peaks), now: row.now }
}

/** @throws RangeError when the row holds no right edge of a tree of that size */
function rangeOf(size: number, peaks: Buffer): CompactRange {
  const hashes = Array.from(
    { length: Math.ceil(peaks.length / HASH_BYTES) },
    (_, at) => new Uint8Array(peaks.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES)),
  )
  return compactRange(size, hashes)
}
