import type { Pool, PoolClient } from 'pg'
import { requestStates } from '../../src/custody/request.ts'

/** A column as Postgres itself describes it. */
export type Column = {
  readonly table: string
  readonly column: string
  readonly type: string
  readonly isKey: boolean
}

export async function columnsOf(pool: Pool): Promise<Column[]> {
  const { rows } = await pool.query<Column>(
    `select c.table_name as table, c.column_name as column, c.data_type as type,
       exists (
         select from information_schema.table_constraints t
         join information_schema.key_column_usage k using (constraint_schema, constraint_name)
         where t.constraint_type = 'PRIMARY KEY' and t.table_schema = 'public'
           and k.table_name = c.table_name and k.column_name = c.column_name) as "isKey"
     from information_schema.columns c
     join information_schema.tables t using (table_schema, table_name)
     where c.table_schema = 'public' and t.table_type = 'BASE TABLE'
     order by 1, c.ordinal_position`,
  )
  return rows
}

/** Something that somebody does who may write anything. */
export type Attack = {
  readonly name: string
  readonly table: string
  readonly run: (client: PoolClient) => Promise<void>
}

/** What a column of each type is changed to, in SQL. */
const values: Record<string, (column: string) => readonly string[]> = {
  text: (c) => [`${c} || 'x'`, `'other'`],
  bytea: (c) => [`set_byte(${c}, length(${c}) - 1, get_byte(${c}, length(${c}) - 1) # 1)`, `''`],
  integer: (c) => [`${c} + 1`],
  bigint: (c) => [`${c} + 1000`],
  boolean: (c) => [`not ${c}`],
  jsonb: () => [`'{"kind":"allow","rules":["ACCOUNT"],"limits":[]}'`],
  uuid: () => ['gen_random_uuid()'],
  ARRAY: () => [`'{}'`],
  'timestamp with time zone': (c) => ['clock_timestamp()', `${c} - interval '2 days'`],
}

/** Words that mean something, for columns that have some. */
const words: Record<string, readonly string[]> = {
  'requests.state': requestStates,
  'approvals.decision': ['approve', 'reject'],
  'quorums.requester': ['caller:pds', 'caller:other', 'person:alice', 'person:dora'],
  'audit_outbox.kind': ['request.proposed'],
}

/** Every way in which one column is touched: changed, emptied, exchanged between rows, set back. */
export function attacksOn(column: Column): Attack[] {
  const { table, column: name } = column
  const change = values[column.type]
  if (change === undefined)
    throw new Error(`${table}.${name}: what is a ${column.type} changed to?`)
  const meaningful = words[`${table}.${name}`] ?? []
  return [
    ...[...change(name), ...meaningful.map((word) => `'${word}'`)].map((value) =>
      attack(table, `${name} = ${value}`, async (client) => await changeTo(client, column, value)),
    ),
    ...(column.isKey
      ? []
      : [
          attack(table, `${name} = null`, async (client) => await changeTo(client, column, 'null')),
        ]),
    attack(table, `${name} exchanged`, async (client) => await exchange(client, column)),
    attack(table, `${name} as it was before`, async (client) => await setBack(client, column)),
  ]
}

/** What is done to a table as a whole. */
export function attacksOnTable(table: string): Attack[] {
  const mark = (text: string) => text.replaceAll('T', table)
  return [
    attack(table, 'every row deleted', async (client) => {
      await client.query(`delete from ${table}`)
    }),
    attack(table, 'all of it as it was before', async (client) => {
      await client.query(mark('delete from T; insert into T select * from older.T'))
    }),
    attack(
      table,
      'what was there before and is gone, and changed rows, brought back',
      async (client) => {
        await client.query(mark('insert into T select * from older.T on conflict do nothing'))
      },
    ),
  ]
}

function attack(table: string, what: string, run: Attack['run']): Attack {
  return { name: `${table}: ${what}`, table, run }
}

/** All rows; where they cannot all be alike, each one that can be. */
async function changeTo(
  client: PoolClient,
  { table, column }: Column,
  value: string,
): Promise<void> {
  await client.query('savepoint before')
  try {
    await client.query(`update ${table} set ${column} = ${value}`)
  } catch {
    await client.query('rollback to savepoint before')
    const { rows } = await client.query<{ id: string }>(`select ctid::text as id from ${table}`)
    let changed = 0
    let last: unknown = null
    for (const { id } of rows) {
      await client.query('savepoint row')
      try {
        await client.query(`update ${table} set ${column} = ${value} where ctid = $1::tid`, [id])
        changed += 1
      } catch (error) {
        last = error
        await client.query('rollback to savepoint row')
      }
    }
    if (changed === 0 && last !== null) throw last
  }
}

async function columnNames(client: PoolClient, table: string): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `select column_name as name from information_schema.columns
     where table_schema = 'public' and table_name = $1 order by ordinal_position`,
    [table],
  )
  return rows.map(({ name }) => name)
}

/** Each row gets the value of the next one. */
async function exchange(client: PoolClient, { table, column }: Column): Promise<void> {
  const columns = await columnNames(client, table)
  const taken = columns.map((name) => (name === column ? `other.${name}` : `mine.${name}`))
  await client.query(
    `create temp table exchanged on commit drop as
     with numbered as (select *, row_number() over () as n, count(*) over () as m from ${table})
     select ${taken.join(', ')} from numbered mine join numbered other on other.n = mine.n % mine.m + 1`,
  )
  await client.query(`delete from ${table}`)
  await client.query(`insert into ${table} select * from exchanged on conflict do nothing`)
}

async function setBack(client: PoolClient, { table, column }: Column): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    `select a.attname as name from pg_index i
     join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
     where i.indrelid = $1::regclass and i.indisprimary`,
    [`public.${table}`],
  )
  const same = rows.map(({ name }) => `mine.${name} = old.${name}`).join(' and ')
  await client.query(
    `update ${table} mine set ${column} = old.${column} from older.${table} old where ${same}`,
  )
}
