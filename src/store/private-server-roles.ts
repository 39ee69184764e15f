import type { Client } from 'pg'

/** The superuser of set-up. Only the service's own OS user can be it, and only over the socket. */
export const administrator = 'holdfast_admin'

/** The application's role and its database. */
export const owner = 'holdfast'

/** Every role that may log in; `pg_ident.conf` is made of this list. */
export const loginRoles = [administrator, owner] as const

const bootstrapLock = 0x686f6c65

/** Makes the roles and the database that are missing. Safe when two processes do it at once. */
export async function ensureRoles(admin: Client): Promise<void> {
  await admin.query('SELECT pg_advisory_lock($1)', [bootstrapLock])
  try {
    if (!(await has(admin, 'SELECT 1 FROM pg_roles WHERE rolname = $1'))) {
      await admin.query(
        `CREATE ROLE ${owner} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS`,
      )
    }
    if (!(await has(admin, 'SELECT 1 FROM pg_database WHERE datname = $1'))) {
      await admin.query(`CREATE DATABASE ${owner} OWNER ${owner}`)
    }
    await admin.query(`REVOKE ALL ON DATABASE ${owner} FROM PUBLIC`)
  } finally {
    await admin.query('SELECT pg_advisory_unlock($1)', [bootstrapLock])
  }
}

async function has(admin: Client, query: string): Promise<boolean> {
  return (await admin.query(query, [owner])).rowCount === 1
}
