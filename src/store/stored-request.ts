import type { StoredRequest } from '../custody/ports.ts'
import type { requests } from './schema.ts'

type Row = typeof requests.$inferSelect

/** A row as custody sees it: without the lease token, which is its holder's alone. */
export function storedRequest({ lease: _lease, rules: _rules, ...row }: Row): StoredRequest {
  return row
}
