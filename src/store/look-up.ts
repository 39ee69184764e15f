import { sql } from 'drizzle-orm'
import type { SQL, SQLWrapper } from 'drizzle-orm'
import { auditEntries, auditOutbox } from './schema.ts'

/** The kinds of entries whose presence decides something; the log's own index knows these only. */
export const lookedUpKinds = [
  'caller.revoked',
  'key.retired',
  'operation.foreign',
  'operation.nullified',
  'signature.produced',
] as const

/** Whether an entry of this kind is on record about a subject: in the log, or on its way there. */
export function isOnRecord(
  kind: (typeof lookedUpKinds)[number],
  subject: SQLWrapper,
): SQL<boolean> {
  return sql<boolean>`(exists (
    select from ${auditOutbox} where ${auditOutbox.kind} = ${kind} and ${auditOutbox.subject} = ${subject}
  ) or exists (
    select from ${auditEntries} where ${auditEntries.lookUp} = ${`${kind} `} || ${subject}
  ))`
}
