import { createHash } from 'node:crypto'
import type { Pool, PoolClient } from 'pg'

/**
 * One transaction under the named advisory locks, taken in one order by all, so that no two wait for
 * each other. Names are hashed to Postgres's 64 bits; two that meet there only wait in vain.
 * @throws what `work` throws, after a rollback; or what COMMIT throws, and then nobody knows
 */
export async function underLocks<T>(
  pool: Pool,
  names: readonly string[],
  work: (client: PoolClient) => Promise<T>,
): Promise<T> {
  const client = await pool.connect()
  let broken: Error | undefined
  try {
    await client.query(['begin', ...lockStatements(names)].join('; '))
    const value = await work(client)
    await client.query('commit')
    return value
  } catch (error) {
    await client.query('rollback').catch((cause: Error) => (broken = cause))
    throw error
  } finally {
    client.release(broken)
  }
}

function lockStatements(names: readonly string[]): string[] {
  const keys = new Set(
    names.map((name) => createHash('sha256').update(name).digest().readBigInt64BE()),
  )
  const sorted = [...keys].sort((a, b) => (a < b ? -1 : 1))
  return sorted.map((key) => `select pg_advisory_xact_lock(${key})`)
}
