import { sql } from 'drizzle-orm'
import { cidOf, decodeSignedOperation } from '../plc/encode.ts'
import type { SignedOperation } from '../plc/operation.ts'
import type { Database } from './database.ts'
import { StoreError } from './error.ts'

/** What is on record of an identity in care, in the form of the directory's audit log. */
export type KeptLog = {
  readonly did: string
  readonly log: readonly {
    readonly did: string
    readonly operation: SignedOperation
    readonly cid: string
    readonly nullified: boolean
    /** Of an operation that was signed here: of its record, which is a moment before the directory's. */
    readonly createdAt: string
  }[]
}

type Row = { did: string; cid: string; bytes: Buffer; nullified: boolean; at: string }

const PAGE = 500

/** All identities in care, by DID; memory does not grow with their number. @throws StoreError `row-tampered` */
export async function* keptLogs(db: Database): AsyncGenerator<KeptLog> {
  for (let after = ''; ;) {
    const { rows } = await db.execute<Row>(sql`
      select operations.did, cid, bytes, nullified,
        to_char(recorded_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as at
      from operations
      join (select did from identities where did > ${after} order by did limit ${PAGE}) page
        on page.did = operations.did
      order by operations.did, recorded_at`)
    const { rows: last } = await db.execute<{ did: string | null }>(sql`
      select max(did) as did from
        (select did from identities where did > ${after} order by did limit ${PAGE}) page`)
    const logs = Map.groupBy(rows, ({ did }) => did)
    for (const [did, found] of logs) yield { did, log: found.map(entryOf) }
    const end = last[0]?.did ?? null
    if (end === null) return
    after = end
  }
}

function entryOf({ did, cid, bytes, nullified, at }: Row): KeptLog['log'][number] {
  const operation = decodeSignedOperation(new Uint8Array(bytes))
  if (cidOf(operation) === cid) return { did, operation, cid, nullified, createdAt: at }
  throw new StoreError('row-tampered', `operation ${cid} of ${did} does not have that CID`)
}
