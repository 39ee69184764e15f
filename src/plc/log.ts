import { parseSignature } from './compact.ts'
import { cidOfEncoded, didOfEncoded, encodeSignedOperation, withoutSignature } from './encode.ts'
import { type LogRule, PlcError } from './error.ts'
import {
  type OperationData,
  operationData,
  parseSignedOperation,
  type SignedOperation,
} from './operation.ts'
import type { Proof } from './proof.ts'
import { malformed, plainObject } from './shape.ts'
import { type EcdsaVerify, verifySignature } from './signature.ts'
import { quoteText } from './text.ts'

export type LogEntry = {
  cid: string
  operation: SignedOperation
  createdAt: Date
  nullified: boolean
}

/** `head` is the last entry that is not nullified; `data` is what it makes true, null for a tombstone. */
type LogState = {
  did: string
  entries: readonly LogEntry[]
  head: LogEntry
  tombstoned: boolean
  data: OperationData | null
}

export type VerifiedLog = Proof<LogState, 'VerifiedLog'>

/** One row of the log as listed, its CID recomputed; nothing of its place in the log is checked yet. */
type Candidate = {
  index: number
  entry: LogEntry
  encoded: Uint8Array
  compact: Uint8Array
}

/** An admitted operation. `signer` is the index of its key in the rotation keys it was checked against. */
type Link = {
  entry: LogEntry
  data: OperationData | null
  signer: number
  forked: boolean
  nullified: boolean
  position: number
}

/** `links` is all that was admitted, `active` the history in force, from the genesis to the head. */
type Chain = { links: Link[]; byCid: Map<string, Link>; active: Link[]; verify: EcdsaVerify }

const MAX_ENTRIES = 100_000
const RECOVERY_WINDOW_MS = 72 * 60 * 60 * 1000
const DID_PATTERN = /^did:plc:[a-z2-7]{24}$/
const TIME_PATTERN = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

/**
 * Judges a whole log by the rules R1 to R8 of did:plc and believes nothing that it lists: DID, CIDs and
 * nullification are computed again and compared. The listed times are the directory's word; nothing can
 * prove them.
 * @param auditLog the JSON of `GET /:did/log/audit`: entries of `{did, operation, cid, nullified, createdAt}`
 * @throws PlcError `invalid-log` with the index of the entry and the rule; `malformed` or `too-large`
 * when it is not a log at all
 */
export async function verifyLog(
  did: string,
  auditLog: unknown,
  verify: EcdsaVerify,
): Promise<VerifiedLog> {
  const rows = parseRows(did, auditLog)
  const chain: Chain = { links: [], byCid: new Map(), active: [], verify }
  for (const [index, row] of rows.entries()) {
    await admit(chain, did, readCandidate(did, row, index))
  }
  for (const [index, link] of chain.links.entries()) checkListedNullification(link, index)
  const head = chain.active.at(-1)!
  const state: LogState = {
    did,
    entries: chain.links.map((link) => link.entry),
    head: head.entry,
    tombstoned: head.data === null,
    data: head.data,
  }
  return state as VerifiedLog
}

function parseRows(did: string, auditLog: unknown): readonly unknown[] {
  if (!DID_PATTERN.test(did)) throw malformed(`not a did:plc: ${quoteText(did)}`)
  if (!Array.isArray(auditLog)) throw malformed('an audit log is a list of entries')
  if (auditLog.length === 0) throw broken(0, 'R1', 'the log is empty')
  if (auditLog.length <= MAX_ENTRIES) return auditLog
  throw new PlcError('too-large', `${auditLog.length} entries; at most ${MAX_ENTRIES} are read`)
}

// Fields of an entry that we do not know are left alone, for nothing is concluded from them. Those of an
// operation are refused: they would be signed bytes that we do not understand.
function readCandidate(did: string, row: unknown, index: number): Candidate {
  const { operation, encoded, fields } = naming(index, 'ENTRY', () => {
    const fields = plainObject(row, 'an entry')
    const operation = parseSignedOperation(fields.operation)
    return { operation, encoded: encodeSignedOperation(operation), fields }
  })
  const { cid, createdAt, nullified } = fields
  if (fields.did !== did) throw broken(index, 'ENTRY', 'it is of another DID')
  if (typeof nullified !== 'boolean') throw broken(index, 'ENTRY', '"nullified" must be a boolean')
  const time = naming(index, 'ENTRY', () => parseTime(createdAt))
  const computed = cidOfEncoded(encoded)
  if (cid !== computed) throw broken(index, 'CID', `the CID of its operation is ${computed}`)
  const compact = naming(index, 'SIGNATURE', () => parseSignature(operation.sig))
  const entry = { cid: computed, operation, createdAt: time, nullified }
  return { index, entry, encoded, compact }
}

function parseTime(value: unknown): Date {
  if (typeof value === 'string' && TIME_PATTERN.test(value)) {
    const time = new Date(value)
    if (!Number.isNaN(time.getTime()) && time.toISOString() === value) return time
  }
  throw malformed('"createdAt" must be an ISO time in UTC with milliseconds')
}

async function admit(chain: Chain, did: string, candidate: Candidate): Promise<void> {
  const { entry } = candidate
  const data = operationData(entry.operation)
  const newest = chain.links.at(-1)
  if (newest === undefined) {
    const signer = await admitGenesis(chain, did, candidate)
    append(chain, { entry, data, signer, forked: false, nullified: false, position: 0 })
    return
  }
  const base = findBase(chain, candidate)
  if (entry.createdAt <= newest.entry.createdAt) {
    throw broken(candidate.index, 'R5', 'it is not later than the entry before it')
  }
  const position = base.link.position + 1
  const disputed = chain.active[position]
  const signer =
    disputed === undefined
      ? await signerOf(chain, candidate, { keys: base.keys, rule: 'R3' })
      : await admitFork(chain, candidate, { keys: base.keys, disputed })
  for (const link of chain.active.splice(position)) link.nullified = true
  append(chain, { entry, data, signer, forked: disputed !== undefined, nullified: false, position })
}

function append(chain: Chain, link: Link): void {
  chain.links.push(link)
  chain.active.push(link)
  chain.byCid.set(link.entry.cid, link)
}

async function admitGenesis(chain: Chain, did: string, candidate: Candidate): Promise<number> {
  const { index, entry, encoded } = candidate
  const data = operationData(entry.operation)
  if (data === null) throw broken(index, 'R1', 'a log cannot begin with a tombstone')
  if (entry.operation.prev !== null) throw broken(index, 'R1', 'prev of a genesis must be null')
  const made = didOfEncoded(encoded)
  if (made !== did) throw broken(index, 'R1', `the genesis makes ${made}`)
  return signerOf(chain, candidate, { keys: data.rotationKeys, rule: 'R1' })
}

function findBase(chain: Chain, { index, entry }: Candidate): { link: Link; keys: string[] } {
  const { prev } = entry.operation
  if (prev === null) throw broken(index, 'R2', 'a second genesis')
  const link = chain.byCid.get(prev)
  if (link === undefined) throw broken(index, 'R2', `prev is unknown: ${quoteText(prev)}`)
  if (link.nullified) throw broken(index, 'R2', 'prev is nullified')
  if (link.data === null) throw broken(index, 'R8', 'prev is a tombstone')
  return { link, keys: link.data.rotationKeys }
}

// The keys at the fork point count, not today's, and the clock runs from the first operation nullified.
async function admitFork(
  chain: Chain,
  candidate: Candidate,
  { keys, disputed }: { keys: string[]; disputed: Link },
): Promise<number> {
  const stronger = keys.slice(0, disputed.signer)
  const rule = disputed.forked ? 'R7' : 'R4'
  const signer = await signerOf(chain, candidate, { keys: stronger, rule })
  const elapsed = candidate.entry.createdAt.getTime() - disputed.entry.createdAt.getTime()
  if (elapsed <= RECOVERY_WINDOW_MS) return signer
  throw broken(candidate.index, 'R5', 'more than 72 hours after the first operation it nullifies')
}

async function signerOf(
  chain: Chain,
  { index, encoded, compact }: Candidate,
  { keys, rule }: { keys: readonly string[]; rule: LogRule },
): Promise<number> {
  try {
    const bytes = withoutSignature(encoded)
    return await verifySignature({ bytes, compact, keys, verify: chain.verify })
  } catch (error) {
    throw named(error, index, rule)
  }
}

function checkListedNullification({ entry, nullified }: Link, index: number): void {
  if (entry.nullified === nullified) return
  throw broken(index, 'R6', nullified ? 'it is nullified, not listed so' : 'it is not nullified')
}

function naming<T>(index: number, rule: LogRule, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw named(error, index, rule)
  }
}

function named(error: unknown, index: number, rule: LogRule): unknown {
  return error instanceof PlcError ? broken(index, rule, error.message, error) : error
}

function broken(entry: number, rule: LogRule, message: string, cause?: PlcError): PlcError {
  const text = `entry ${entry} of the log breaks ${rule}: ${message}`
  return new PlcError('invalid-log', text, { entry, rule, ...(cause && { cause }) })
}
