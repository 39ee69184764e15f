import type { Pool } from 'pg'
import { applicationPrivileges, applicationSequences, tablePrivileges } from './privileges.ts'

type Trigger = { name: string; table: string; enabled: string; definition: string; source: string }

type Facts = {
  role: string
  /** Roles that this one is or may become, and that may do more than it should. */
  powers: string[]
  owned: string[]
  settings: Record<string, string>
  mayCreate: boolean
  rights: { table: string; privilege: string }[]
  updates: { table: string; column: string }[]
  sequences: { name: string; privilege: string }[]
  triggers: Trigger[]
}

/** Effective rights, so what comes by membership or from PUBLIC counts too. */
const factsStatement = {
  name: 'holdfast_self_test',
  text: `
    with tables as (
      select c.oid, c.relname from pg_class c
      where c.relnamespace = 'public'::regnamespace and c.relname = any($1::text[])
    )
    select json_build_object(
      'role', current_user,
      'powers', (select coalesce(json_agg(rolname), '[]') from pg_roles
        where pg_has_role(current_user, oid, 'member')
          and (rolsuper or rolcreaterole or rolreplication or rolbypassrls)),
      'owned', (select coalesce(json_agg(c.relname), '[]') from pg_class c join tables using (oid)
        where pg_has_role(current_user, c.relowner, 'member')),
      'settings', (select json_object_agg(name, setting) from pg_settings where name in
        ('session_replication_role', 'synchronous_commit', 'fsync', 'full_page_writes')),
      'mayCreate', has_schema_privilege('public', 'create'),
      'rights', (select coalesce(json_agg(json_build_object('table', relname, 'privilege', privilege)), '[]')
        from tables, unnest($2::text[]) as privilege
        where (privilege <> 'MAINTAIN' or current_setting('server_version_num')::int >= 170000)
          and case when privilege = 'MAINTAIN' and current_setting('server_version_num')::int < 170000
            then false else has_table_privilege(tables.oid, privilege) end),
      'updates', (select coalesce(json_agg(json_build_object('table', relname, 'column', attname)), '[]')
        from tables join pg_attribute on attrelid = tables.oid and attnum > 0 and not attisdropped
        where has_column_privilege(tables.oid, attnum, 'update')
          and not has_table_privilege(tables.oid, 'update')),
      'sequences', (select coalesce(json_agg(json_build_object('name', name, 'privilege', privilege)), '[]')
        from unnest($3::text[]) as name, unnest(array['USAGE', 'SELECT', 'UPDATE']) as privilege
        where has_sequence_privilege('public.' || name, privilege)),
      'triggers', (select coalesce(json_agg(json_build_object('name', tgname, 'table', tgrelid::regclass::text,
          'enabled', tgenabled, 'definition', pg_get_triggerdef(t.oid), 'source', btrim(prosrc))), '[]')
        from pg_trigger t join tables on tables.oid = tgrelid join pg_proc on pg_proc.oid = tgfoid
        where tables.relname in ('audit_entries', 'audit_tiles'))
    ) as facts`,
}

/**
 * What the database must keep from us, asked of Postgres itself.
 * @returns one line for each thing that is off; none: all is as it must be
 */
export async function selfTest(pool: Pick<Pool, 'query'>): Promise<string[]> {
  const { rows } = await pool.query<{ facts: Facts }>({
    ...factsStatement,
    values: [
      Object.keys(applicationPrivileges),
      tablePrivileges,
      Object.keys(applicationSequences),
    ],
  })
  const facts = rows[0]?.facts
  if (facts === undefined) return ['Postgres tells nothing of itself']
  return [
    ...facts.powers.map((role) => `role ${facts.role} has the powers of role ${role}`),
    ...facts.owned.map((table) => `role ${facts.role} owns table ${table}`),
    ...(facts.mayCreate ? [`role ${facts.role} may create in schema public`] : []),
    ...settingFindings(facts),
    ...rightFindings(facts),
    ...triggerFindings(facts),
  ]
}

function settingFindings({ settings }: Facts): string[] {
  const expected: Record<string, readonly string[]> = {
    session_replication_role: ['origin'],
    synchronous_commit: ['on', 'remote_apply'],
    fsync: ['on'],
    full_page_writes: ['on'],
  }
  return Object.entries(expected).flatMap(([name, good]) => {
    const value = settings[name]
    return value === undefined || good.includes(value) ? [] : [`${name} is ${value}`]
  })
}

/** Exactly those: one too few stops us later, at a worse time. */
function rightFindings({ rights, updates, sequences }: Facts): string[] {
  const found = new Set([
    ...rights.map(({ table, privilege }) => `${privilege} on ${table}`),
    ...updates.map(({ table, column }) => `UPDATE of ${column} on ${table}`),
    ...sequences.map(({ name, privilege }) => `${privilege} on ${name}`),
  ])
  const expected = new Set([
    ...Object.entries(applicationPrivileges).flatMap(([table, { table: whole, update }]) => [
      ...whole.map((privilege) => `${privilege} on ${table}`),
      ...update.map((column) => `UPDATE of ${column} on ${table}`),
    ]),
    ...Object.entries(applicationSequences).flatMap(([name, given]) =>
      given.map((privilege) => `${privilege} on ${name}`),
    ),
  ])
  return [
    ...[...found].filter((right) => !expected.has(right)).map((right) => `has ${right}`),
    ...[...expected].filter((right) => !found.has(right)).map((right) => `lacks ${right}`),
  ]
}

const refusal =
  "BEGIN RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'restrict_violation'; END"

const guards = ['audit_entries', 'audit_tiles'].flatMap((table) => [
  { name: `${table}_rows`, when: `BEFORE DELETE OR UPDATE ON public.${table} FOR EACH ROW` },
  { name: `${table}_truncate`, when: `BEFORE TRUNCATE ON public.${table} FOR EACH STATEMENT` },
])

function triggerFindings({ triggers }: Facts): string[] {
  const missing = guards.flatMap(({ name, when }) => {
    const definition = `CREATE TRIGGER ${name} ${when} EXECUTE FUNCTION audit_log_is_append_only()`
    const found = triggers.find((trigger) => trigger.name === name)
    if (found === undefined) return [`trigger ${name} is missing`]
    if (found.enabled !== 'A') return [`trigger ${name} is not enabled always`]
    if (found.definition !== definition || found.source !== refusal)
      return [`trigger ${name} is another one`]
    return []
  })
  const known = guards.map(({ name }) => name)
  const strange = triggers.filter(({ name }) => !known.includes(name))
  return [
    ...missing,
    ...strange.map(({ name, table }) => `trigger ${name} on ${table} is not ours`),
  ]
}

/**
 * Changes whenever somebody has touched the log's tables, their triggers or the outbox's sequence
 * otherwise than by appending, also when it was put back since. Statistics can be reset: they tell
 * of the careless, the versions of the catalog's rows of everybody.
 */
export type Traces = {
  readonly catalog: string
  readonly changes: number
  readonly sequence: bigint
}

const tracesStatement = {
  name: 'holdfast_traces',
  text: `
    select (select string_agg(concat_ws(' ', tgname, t.xmin, t.oid), ', ' order by tgname)
        from pg_trigger t where tgrelid in ('public.audit_entries'::regclass, 'public.audit_tiles'::regclass))
      || (select string_agg(concat_ws(' ', relname, oid, pg_relation_filenode(oid)), ', ' order by relname)
        from pg_class where oid in ('public.audit_entries'::regclass, 'public.audit_tiles'::regclass))
      || (select concat_ws(' ', oid, xmin) from pg_proc where proname = 'audit_log_is_append_only') as catalog,
      (select coalesce(sum(pg_stat_get_tuples_updated(oid) + pg_stat_get_tuples_deleted(oid)), 0)::int
        from pg_class where oid in ('public.audit_entries'::regclass, 'public.audit_tiles'::regclass)) as changes,
      (select last_value::text from public.audit_outbox_id_seq) as sequence`,
}

export async function readTraces(pool: Pick<Pool, 'query'>): Promise<Traces> {
  const { rows } = await pool.query<{ catalog: string; changes: number; sequence: string }>(
    tracesStatement,
  )
  const [row] = rows
  if (row === undefined) throw new TypeError('a row of subqueries')
  return { ...row, sequence: BigInt(row.sequence) }
}
