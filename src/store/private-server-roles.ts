import type { Client } from 'pg'

/** The superuser of set-up. Only the service's own OS user can be it, and only over the socket. */
export const administrator = 'holdfast_admin'

/** Owns the database and all in it; migrates, and does nothing else. */
export const owner = 'holdfast_owner'

/** The application's role, which owns nothing. The database has the same name. */
export const application = 'holdfast'

/** Every role that may log in; `pg_ident.conf` is made of this list. */
export const loginRoles = [administrator, owner, application] as const

/** True when nothing is left to do for `ensureRoles`. */
export const rolesAreThere = `
  SELECT FROM pg_database JOIN pg_roles ON pg_roles.oid = datdba
  WHERE datname = '${application}' AND rolname = '${owner}'`

const bootstrapLock = 0x686f6c65

const ordinary = 'LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS'

/**
 * Makes the roles and the database that are missing. Safe when two processes do it at once. Before
 * there was an owner the application's role owned everything; `adopt` gives that away, in the database.
 */
export async function ensureRoles(
  admin: Client,
  adopt: (statement: string) => Promise<void>,
): Promise<void> {
  await admin.query('SELECT pg_advisory_lock($1)', [bootstrapLock])
  try {
    for (const role of [owner, application]) {
      const found = await admin.query('SELECT FROM pg_roles WHERE rolname = $1', [role])
      if (found.rowCount === 0) await admin.query(`CREATE ROLE ${role} ${ordinary}`)
    }
    const found = await admin.query('SELECT FROM pg_database WHERE datname = $1', [application])
    if (found.rowCount === 0) {
      await admin.query(`CREATE DATABASE ${application} OWNER ${owner}`)
    } else {
      // The database too; all of it or nothing.
      await adopt(`REASSIGN OWNED BY ${application} TO ${owner}`)
    }
    await admin.query(`REVOKE ALL ON DATABASE ${application} FROM PUBLIC`)
    await admin.query(`GRANT CONNECT ON DATABASE ${application} TO ${application}`)
  } finally {
    await admin.query('SELECT pg_advisory_unlock($1)', [bootstrapLock])
  }
}
