import { getTableColumns } from 'drizzle-orm'
import type { StoredRequest } from '../custody/ports.ts'
import { requests } from './schema.ts'

type Row = typeof requests.$inferSelect

/** A row as custody sees it: without the lease token, which is its holder's alone. */
export function storedRequest({ lease: _lease, rules: _rules, ...row }: Row): StoredRequest {
  return row
}

const columns = Object.entries(getTableColumns(requests)).filter(
  ([field]) => field !== 'lease' && field !== 'rules',
)

/** The columns of a `StoredRequest`, for statements that are written by hand. */
export const requestColumns = columns.map(([, column]) => column.name).join(', ')

/** What such a statement returns. */
export type RequestRow = { readonly id: string } & Readonly<Record<string, unknown>>

export function toStoredRequest(row: RequestRow): StoredRequest {
  const fields = columns.map(([field, column]) => [field, row[column.name]])
  return Object.fromEntries(fields) as StoredRequest
}
