import type { Sealer } from '../sealing/sealer.ts'
import { StoreError } from './error.ts'

/** The columns that give rights, or that facts are drawn from, of one row of each sealed table. */
type Rows = {
  /** Whose identity it is. */
  readonly identity: { readonly did: string; readonly caller: string }
  /** Whose an operation is, when it was made and whether here. Its CID is the hash of its bytes. */
  readonly operation: {
    readonly cid: string
    readonly did: string
    readonly recordedAt: Date
    readonly requestId: string | null
  }
  /** Who asked for which bytes, by which key. Where it stands is for finding it, and not sealed. */
  readonly request: {
    readonly id: string
    readonly caller: string
    readonly keyId: string
    readonly digest: Uint8Array
    readonly createdAt: Date
  }
}
export type SealedTable = keyof Rows

const contexts: { readonly [K in SealedTable]: (row: Rows[K]) => string[] } = {
  identity: ({ did, caller }) => [did, caller],
  operation: ({ cid, did, recordedAt, requestId }) => [
    cid,
    did,
    recordedAt.toISOString(),
    requestId ?? '',
  ],
  request: ({ id, caller, keyId, digest, createdAt }) => [
    id,
    caller,
    keyId,
    Buffer.from(digest).toString('hex'),
    createdAt.toISOString(),
  ],
}

const names: { readonly [K in SealedTable]: (row: Rows[K]) => string } = {
  identity: ({ did }) => `identity ${did}`,
  operation: ({ cid }) => `operation ${cid}`,
  request: ({ id }) => `request ${id}`,
}

/**
 * A seal over columns that never change once they are written, so that no older row of the same id
 * exists that could be brought back. Whoever can write rows, and does not have the sealing secret, can
 * neither make one up nor give one row what belongs to another.
 */
export function sealRow<K extends SealedTable>(sealer: Sealer, table: K, row: Rows[K]): Buffer {
  return sealer.mark(table, contexts[table](row))
}

/** @throws StoreError `row-tampered` */
export function checkRow<K extends SealedTable>(
  sealer: Sealer,
  table: K,
  row: Rows[K] & { readonly seal: Uint8Array },
): void {
  if (sealer.isMarked(table, contexts[table](row), row.seal)) return
  const why = 'was changed in the database, or was sealed under another HOLDFAST_SECRET_FILE'
  throw new StoreError('row-tampered', `${names[table](row)} ${why}`)
}
