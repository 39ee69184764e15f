import { createHash } from 'node:crypto'
import type { Pool } from 'pg'
import { entriesOf } from './audit-log.ts'
import { auditFindings } from './log-oracle.ts'
import { verifyWithAtproto } from '../../src/ecdsa/atproto.ts'
import {
  attachSignature,
  cidOf,
  decodeSignedOperation,
  decodeUnsignedOperation,
  didOfGenesis,
} from '../../src/plc/encode.ts'

/** A signature that somebody outside was given. */
export type Released = { readonly digest: string; readonly compact: Uint8Array }

type Row = {
  id: string
  digest: Buffer
  unsigned: Buffer
  did: string | null
  prev: string | null
  state: string
  replaces: string[]
  lease: string | null
  lease_until: Date | null
  signature: Buffer | null
  cid: string | null
  intended_at: Date | null
  produced_at: Date | null
}
type Operation = { cid: string; did: string; bytes: Buffer; request_id: string | null }
type Entry = { id: number; kind: string; subject: string; body: Record<string, unknown> }
type Ledger = { rows: Row[]; operations: Operation[]; entries: Entry[] }

/**
 * What must hold of the whole record whatever happened before, read with plain SQL and verified with
 * another library than the one that released; and nothing that an auditor would find in its log.
 * @returns one line for each thing that is wrong
 */
export async function findingsOf(pool: Pool, released: readonly Released[]): Promise<string[]> {
  // What is released while we read may not be in what we read.
  const before = [...released]
  const record = await readRecord(pool)
  const perRow = await Promise.all(record.rows.map(async (row) => await checkRow(record, row)))
  return [
    ...perRow.flat(),
    ...checkOneLivePerPrev(record.rows),
    ...record.entries.flatMap((entry) => checkEntry(record, entry)),
    ...record.operations.flatMap((operation) => checkOperation(record, operation)),
    ...before.flatMap((given) => checkReleased(record.rows, given)),
    ...(await auditFindings(pool)),
  ]
}

/** All of it as of one moment: other calls may be under way. */
async function readRecord(pool: Pool): Promise<Ledger> {
  const client = await pool.connect()
  try {
    await client.query('begin isolation level repeatable read read only')
    const rows = await client.query<Row>('select * from requests')
    const operations = await client.query<Operation>('select * from operations')
    const record = await entriesOf(client)
    await client.query('commit')
    const entries = record.map(({ position, body }) => ({
      id: position,
      kind: String(body['kind']),
      subject: String(body['request'] ?? body['did'] ?? body['accessKeyId'] ?? body['store']),
      body,
    }))
    return { rows: rows.rows, operations: operations.rows, entries }
  } finally {
    client.release()
  }
}

async function checkRow(record: Ledger, row: Row): Promise<string[]> {
  const about = record.entries.filter((entry) => entry.subject === row.id)
  const lines = [
    ...checkState(row, about),
    ...checkReplaces(record, row, about),
    ...(row.signature === null ? [] : await checkSignature(record, row, about)),
  ]
  return lines.map((line) => `request ${row.id} (${row.state}): ${line}`)
}

function checkState(row: Row, about: readonly Entry[]): string[] {
  const kinds = about.map((entry) => entry.kind)
  const last = kinds.at(-1)
  const wrong = (broken: boolean, what: string) => (broken ? [what] : [])
  const unheld = wrong(row.lease !== null || row.lease_until !== null, 'holds a lease')
  const unsigned = wrong(row.signature !== null || row.produced_at !== null, 'has a signature')
  switch (row.state) {
    case 'signing':
      return [
        ...unsigned,
        ...wrong(row.lease === null || row.lease_until === null, 'has no lease'),
        ...wrong(last !== 'signature.intended', `last entry is ${last}`),
      ]
    case 'returned':
    case 'submitted':
    case 'confirmed':
      return [
        ...unheld,
        ...wrong(row.signature === null || row.produced_at === null, 'has no signature'),
        ...wrong(!kinds.includes('signature.produced'), 'has no entry signature.produced'),
        ...wrong(
          row.state === 'submitted' && !kinds.includes('submission.accepted'),
          'has no entry submission.accepted',
        ),
        ...wrong(
          (row.state === 'confirmed') !== kinds.includes('operation.confirmed'),
          `its entries are ${kinds.join()}`,
        ),
      ]
    case 'approved':
      return [
        ...unheld,
        ...unsigned,
        ...wrong(
          ![
            'request.proposed',
            'signature.postponed',
            'request.approved',
            'approval.recorded',
          ].includes(last ?? ''),
          `last is ${last}`,
        ),
      ]
    case 'cancelled':
      return [...unheld, ...unsigned, ...wrong(last !== 'request.cancelled', `last is ${last}`)]
    case 'proposed':
      return [
        ...unheld,
        ...unsigned,
        ...wrong(
          !['request.proposed', 'approval.recorded'].includes(last ?? ''),
          `last is ${last}`,
        ),
      ]
    case 'rejected':
    case 'expired':
      return [...unheld, ...unsigned, ...wrong(last !== `request.${row.state}`, `last is ${last}`)]
    case 'failed':
      return [...unheld, ...unsigned, ...wrong(last !== 'request.failed', `last entry is ${last}`)]
    case 'superseded':
      return [...unheld, ...wrong(last !== 'request.superseded', `last entry is ${last}`)]
    case 'denied':
      return [
        ...unheld,
        ...unsigned,
        ...wrong(kinds.join() !== 'request.denied', `its entries are ${kinds.join()}`),
      ]
    default:
      return ['is in a state that no door leads to']
  }
}

/** Intent before signature, once each, over exactly these bytes, and the operation kept. */
async function checkSignature(
  record: Ledger,
  row: Row,
  about: readonly Entry[],
): Promise<string[]> {
  const { operation, bytes } = decodeUnsignedOperation(new Uint8Array(row.unsigned))
  const compact = new Uint8Array(row.signature ?? [])
  const signed = attachSignature(operation, compact)
  const produced = about.filter((entry) => entry.kind === 'signature.produced')
  const [outcome] = produced
  if (outcome === undefined || produced.length > 1)
    return [`${produced.length} entries signature.produced`]
  const intent = about.find(
    ({ id, kind, body }) =>
      kind === 'signature.intended' && id < outcome.id && body['lease'] === outcome.body['lease'],
  )
  if (intent === undefined) return ['no signature.intended of the same lease before its signature']
  const kept = record.operations.find((kept) => kept.cid === row.cid)
  const facts = {
    'its bytes have another digest': hex(sha256(row.unsigned)) === hex(row.digest),
    'the intent names another digest': sameBytes(intent.body['digest'], row.digest),
    'the entry has another signature': sameBytes(outcome.body['signature'], compact),
    'its CID is not that of its bytes':
      row.cid === cidOf(signed) && outcome.body['cid'] === row.cid,
    'it has another DID': row.did === outcome.body['did'],
    'a genesis has another DID': row.prev !== null || row.did === didOfGenesis(signed),
    'its signature does not verify': await verifies(String(intent.body['keyDid']), bytes, compact),
    'its operation is not kept': kept !== undefined && kept.did === row.did,
    'its operation is another request’s': kept?.request_id === row.id,
  }
  return Object.entries(facts).flatMap(([line, holds]) => (holds ? [] : [line]))
}

const verified = new Set<string>()

/** The check runs after every test over all rows; what verified once is known by all that it is of. */
async function verifies(key: string, bytes: Uint8Array, compact: Uint8Array): Promise<boolean> {
  const name = `${key} ${hex(bytes)} ${hex(compact)}`
  if (!verified.has(name) && (await verifyWithAtproto(key, bytes, compact))) verified.add(name)
  return verified.has(name)
}

const STANDS_MS = 60_000

/** A signature that was replaced had its time, its successor names it, and it is named only once. */
function checkReplaces({ rows }: Ledger, row: Row, about: readonly Entry[]): string[] {
  const named = about
    .filter((entry) => entry.kind === 'signature.intended')
    .flatMap((entry) => entry.body['replaces'] as string[])
  const forward = row.replaces.flatMap((id) => {
    const replaced = rows.find((other) => other.id === id)
    if (replaced?.signature === undefined || replaced.state !== 'superseded')
      return [`replaces ${id}, which is ${replaced?.state}`]
    const stood = (row.intended_at?.getTime() ?? 0) - (replaced.produced_at?.getTime() ?? Infinity)
    return [
      ...(named.includes(id) ? [] : [`replaces ${id}, but no signature.intended says so`]),
      ...(replaced.did === row.did && replaced.prev === row.prev ? [] : [`${id} had another prev`]),
      ...(stood >= STANDS_MS ? [] : [`replaced ${id} after ${stood} ms`]),
    ]
  })
  if (row.state !== 'superseded' || row.signature === null) return forward
  // Its prev has passed on the directory: no other signature of ours came in its place.
  if (typeof about.at(-1)?.body['head'] === 'string') return forward
  const successors = rows.filter((other) => other.replaces.includes(row.id))
  return successors.length === 1 ? forward : [...forward, `${successors.length} name it replaced`]
}

function checkOneLivePerPrev(rows: readonly Row[]): string[] {
  const live = rows.filter((row) => ['signing', 'returned', 'submitted'].includes(row.state))
  const places = live.map((row) => (row.prev === null ? hex(row.digest) : `${row.did} ${row.prev}`))
  const twice = places.filter((place, index) => places.indexOf(place) !== index)
  return twice.map((place) => `two live requests on ${place}`)
}

const REQUEST_KINDS = /^(request|signature)\./

function checkEntry({ rows }: Ledger, { id, kind, subject, body }: Entry): string[] {
  const lines = [
    ...(body['v'] === 1 ? [] : ['is of another version']),
    ...(typeof body['at'] === 'number' ? [] : ['has no time']),
  ]
  if (REQUEST_KINDS.test(kind)) {
    const row = rows.find((row) => row.id === subject)
    if (body['request'] !== subject) lines.push('is about another request than its column says')
    if (row === undefined) lines.push('is about a request that is not there')
    if (kind === 'signature.produced' && !sameBytes(body['signature'], row?.signature))
      lines.push('has a signature that its request has not')
  }
  return lines.map((line) => `entry ${id} ${kind}: ${line}`)
}

function checkOperation({ rows }: Ledger, kept: Operation): string[] {
  const operation = decodeSignedOperation(new Uint8Array(kept.bytes))
  if (cidOf(operation) !== kept.cid) return [`operation ${kept.cid}: its bytes have another CID`]
  if (kept.request_id === null) return []
  const row = rows.find((row) => row.id === kept.request_id)
  return row?.cid === kept.cid ? [] : [`operation ${kept.cid}: not of request ${kept.request_id}`]
}

function checkReleased(rows: readonly Row[], { digest, compact }: Released): string[] {
  const found = rows.some((row) => hex(row.digest) === digest && sameBytes(row.signature, compact))
  return found ? [] : [`a signature of ${digest} was released and is not on record`]
}

function sameBytes(left: unknown, right: unknown): boolean {
  return (
    left instanceof Uint8Array && right instanceof Uint8Array && Buffer.compare(left, right) === 0
  )
}

const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest()
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
