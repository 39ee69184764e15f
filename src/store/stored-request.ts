import { getTableColumns } from 'drizzle-orm'
import type { StoredRequest } from '../custody/ports.ts'
import type { Sealer } from '../sealing/sealer.ts'
import { requests } from './schema.ts'
import { checkRow } from './seals.ts'

type Row = typeof requests.$inferSelect

/** A row as custody sees it: without the lease token, which is its holder's alone. */
export function storedRequest({
  lease: _lease,
  rules: _rules,
  seal: _seal,
  ...row
}: Row): StoredRequest {
  return row
}

const columns = Object.entries(getTableColumns(requests)).filter(
  ([field]) => !['lease', 'rules', 'seal'].includes(field),
)

/** The columns of a `StoredRequest` and its seal, for statements that are written by hand. */
export const requestColumns = [...columns.map(([, column]) => column.name), 'seal'].join(', ')

/** What such a statement returns. */
export type RequestRow = { readonly id: string } & Readonly<Record<string, unknown>>

/** One whose bytes, key, caller and time are as they were written. @throws StoreError `row-tampered` */
export function sealedRequest(sealer: Sealer, row: RequestRow): StoredRequest {
  const request = toStoredRequest(row)
  checkRow(sealer, 'request', { ...request, seal: row['seal'] as Uint8Array })
  return request
}

export function toStoredRequest(row: RequestRow): StoredRequest {
  const fields = columns.map(([field, column]) => [field, row[column.name]])
  return Object.fromEntries(fields) as StoredRequest
}
