import type { Client } from 'pg'
import { StoreError } from './error.ts'
import { applicationPrivileges, applicationSequences } from './privileges.ts'

/** Where the migrator keeps what it has done; the application reads it at its start. */
export const journal = { schema: 'drizzle', table: '__drizzle_migrations' }

/** @throws StoreError `roles` when the owner is the application's role */
export async function refuseOneRole(owner: Client, application: string): Promise<void> {
  const { rows } = await owner.query<{ owner: string }>('select current_user as owner')
  if (rows[0]?.owner === application) {
    throw new StoreError(
      'roles',
      `DATABASE_OWNER_URL: logs in as ${application}, the role of DATABASE_URL; the service's own role must own nothing`,
    )
  }
}

/**
 * Gives the application's role exactly its rights, as the owner, and takes from it and from everyone
 * what it should not have. One transaction: a service that runs meanwhile never lacks any.
 */
export async function grantTo(owner: Client, application: string): Promise<void> {
  const role = owner.escapeIdentifier(application)
  await owner.query(['begin', ...statementsFor(role), 'commit'].join(';\n'))
}

function statementsFor(role: string): string[] {
  const tables = Object.entries(applicationPrivileges).flatMap(
    ([table, { table: whole, update }]) => [
      `revoke all on table public.${table} from ${role}, public`,
      `grant ${whole.join(', ')} on table public.${table} to ${role}`,
      ...(update.length === 0
        ? []
        : [`grant update (${update.join(', ')}) on table public.${table} to ${role}`]),
    ],
  )
  const sequences = Object.entries(applicationSequences).flatMap(([sequence, rights]) => [
    `revoke all on sequence public.${sequence} from ${role}, public`,
    `grant ${rights.join(', ')} on sequence public.${sequence} to ${role}`,
  ])
  return [
    ...tables,
    ...sequences,
    `grant usage on schema public, ${journal.schema} to ${role}`,
    `grant select on table ${journal.schema}.${journal.table} to ${role}`,
  ]
}
