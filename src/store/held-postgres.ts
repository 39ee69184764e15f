import type { Pool } from 'pg'
import { decodeHeld, encodeHeld, HeldError, isSameHeld } from '../sequencer/held.ts'
import type { Held, HeldStore } from '../sequencer/held.ts'
import { createPool } from './database.ts'

/** One row a version; its number is the primary key, so of two that swap at once one fails. */
const TABLE = `create table if not exists holdfast_held (
  version bigint primary key, record text not null)`

/**
 * The held record on another Postgres server, for instances on several hosts.
 * @throws HeldError `unreadable` when it is the server that the log is on: whoever restores one restores both
 */
export async function openHeldPostgres(url: string, database: Pool): Promise<HeldStore> {
  const pool = createPool({ connectionString: url, max: 2 })
  pool.on('error', () => {})
  try {
    if ((await systemOf(pool)) === (await systemOf(database))) {
      throw new HeldError(
        'unreadable',
        'HOLDFAST_CHECKPOINT_STORE: is on the same Postgres server as the database, or on a copy of it',
      )
    }
  } catch (error) {
    await pool.end()
    throw error
  }
  return {
    read: async () => await orUnreadable(async () => (await newest(pool))?.held ?? null),
    create: async (first) =>
      await orUnreadable(async () => {
        await pool.query(TABLE)
        if ((await newest(pool)) !== null) throw conflict()
        return await write(pool, 1, first)
      }),
    replace: async (held, next) =>
      await orUnreadable(async () => {
        const current = await newest(pool)
        if (current === null || !isSameHeld(current.held, held)) throw conflict()
        return await write(pool, current.version + 1, next)
      }),
    close: async () => await pool.end(),
  }
}

/** Made by initdb, and the same on every replica and physical copy of a server. */
async function systemOf(pool: Pool): Promise<string> {
  const { rows } = await pool.query<{ id: string }>(
    'select system_identifier::text as id from pg_control_system()',
  )
  return rows[0]?.id ?? ''
}

async function newest(pool: Pool): Promise<{ version: number; held: Held } | null> {
  const there = await pool.query<{ there: boolean }>(
    `select to_regclass('holdfast_held') is not null as there`,
  )
  if (there.rows[0]?.there !== true) return null
  const { rows } = await pool.query<{ version: string; record: string }>(
    'select version, record from holdfast_held order by version desc limit 1',
  )
  const [row] = rows
  if (row === undefined) return null
  return {
    version: Number(row.version),
    held: decodeHeld(row.record, 'HOLDFAST_CHECKPOINT_STORE'),
  }
}

async function write(pool: Pool, version: number, held: Held): Promise<Held> {
  const { rowCount } = await pool.query(
    `insert into holdfast_held (version, record)
     select $1, $2 where not exists (select from holdfast_held where version > $1)
     on conflict do nothing`,
    [version, encodeHeld(held)],
  )
  if (rowCount !== 1) throw conflict()
  await pool.query('delete from holdfast_held where version < $1', [version])
  return held
}

/** A server that is away is told apart from a database that is. */
async function orUnreadable<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask()
  } catch (cause) {
    if (cause instanceof HeldError) throw cause
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new HeldError('unreadable', `HOLDFAST_CHECKPOINT_STORE: ${why}`, { cause })
  }
}

function conflict(): HeldError {
  return new HeldError('conflict', 'another process has changed the held record')
}
