import { sql } from 'drizzle-orm'
import type { SQL, SQLWrapper } from 'drizzle-orm'
import type { PoolClient } from 'pg'
import { StoreError } from './error.ts'
import { auditEntries, auditOutbox } from './schema.ts'

/** The kinds of entries whose presence decides something; the log's own index knows these only. */
export const lookedUpKinds = [
  'caller.revoked',
  'ceremony.imported',
  'request.cancelled',
  'request.expired',
  'request.failed',
  'request.rejected',
  'request.superseded',
  'key.retired',
  'operation.confirmed',
  'operation.foreign',
  'operation.nullified',
  'signature.produced',
] as const

/** After one of these nothing is signed for a request any more, whatever its row says. */
const endings = [
  'request.cancelled',
  'request.expired',
  'request.failed',
  'request.rejected',
  'request.superseded',
] as const satisfies readonly (typeof lookedUpKinds)[number][]

const endedStatement = {
  name: 'holdfast_ended',
  text: `
    select asked.id from unnest($1::text[]) as asked (id)
    join requests on requests.id = asked.id::uuid and state in ('proposed', 'approved')
    where exists (select from audit_outbox where subject = asked.id and kind = any($2::text[]))
      or exists (
        select from unnest($2::text[]) as ending (kind)
        join audit_entries on look_up = ending.kind || ' ' || asked.id)`,
}

/**
 * Fails for requests whose rows say that they wait, and that have ended by the log's word: a rejection
 * or a withdrawal is not undone by taking its rows away. Row and entry are read at one moment: a
 * withdrawal that comes meanwhile writes both.
 * @throws StoreError `row-tampered`
 */
export async function refuseEnded(client: PoolClient, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return
  const { rows } = await client.query<{ id: string }>({ ...endedStatement, values: [ids, endings] })
  const [ended] = rows
  if (ended === undefined) return
  const what = `request ${ended.id} has ended by the audit log, and its row says that it waits`
  throw new StoreError('row-tampered', what)
}

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
