import { createHash } from 'node:crypto'
import { encode } from '@ipld/dag-cbor'
import { Client } from 'pg'
import { openPrivateServer } from '../../../src/store/private-server.ts'
import { entriesOf } from '../../support/audit-log.ts'
import { silentLog } from '../../support/data-dir.ts'
import type { Listed } from './oracle.ts'

type AuditEntry = {
  position: bigint
  kind: string
  request: string
  lease: string
  digest: Uint8Array
  cid: string
  signature: Uint8Array
}

/** What Holdfast's Postgres holds about its signatures, read beside the running service. */
export type SignatureRecord = {
  /** State, digest and signature of each request that has one. */
  requests: ReadonlyMap<string, { state: string; signature: Buffer | null }>
  intended: readonly AuditEntry[]
  produced: readonly AuditEntry[]
}

export async function readRecord(dataDir: string): Promise<SignatureRecord> {
  const server = await openPrivateServer({ dataDir, log: silentLog })
  const client = new Client(server.connection)
  try {
    await client.connect()
    const requests = await client.query('SELECT id, state, signature FROM requests')
    const entries = (await entriesOf(client)).map(entryOf)
    return {
      requests: new Map(requests.rows.map((row) => [row.id, row])),
      intended: entries.filter(({ kind }) => kind === 'signature.intended'),
      produced: entries.filter(({ kind }) => kind === 'signature.produced'),
    }
  } finally {
    await client.end()
    await server.release()
  }
}

/** Throws unless this operation's signature has its intent, its outcome and its request on record,
 *  in that order, for exactly these bytes. */
export function assertOnRecord(record: SignatureRecord, { operation, cid }: Listed): void {
  const outcomes = record.produced.filter((entry) => entry.cid === cid)
  const [outcome] = outcomes
  if (outcome === undefined || outcomes.length > 1) {
    throw new Error(`${cid}: ${outcomes.length} outcomes on record`)
  }
  const intent = record.intended.find(
    ({ request, lease }) => request === outcome.request && lease === outcome.lease,
  )
  if (intent === undefined) throw new Error(`${cid}: no intent on record`)
  if (intent.position >= outcome.position) throw new Error(`${cid}: intent after outcome`)
  const { sig, ...unsigned } = operation
  const digest = createHash('sha256').update(encode(unsigned)).digest()
  if (!digest.equals(intent.digest)) throw new Error(`${cid}: intent for other bytes`)
  const request = record.requests.get(outcome.request)
  const recorded = [outcome.signature, request?.signature ?? Buffer.alloc(0)]
  if (recorded.some((bytes) => Buffer.from(bytes).toString('base64url') !== sig)) {
    throw new Error(`${cid}: another signature on record`)
  }
}

function entryOf({ position, body }: Awaited<ReturnType<typeof entriesOf>>[number]): AuditEntry {
  return { ...(body as unknown as AuditEntry), position: BigInt(position) }
}
