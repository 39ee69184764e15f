import type { DirectoryExport, ExportLine } from '../directory/follow.ts'
import { DirectoryError } from '../directory/directory.ts'
import type { PlcDirectory } from '../directory/directory.ts'
import { parseSignature } from '../plc/compact.ts'
import { encodeSignedOperation, withoutSignature } from '../plc/encode.ts'
import type { LogEntry, VerifiedLog } from '../plc/log.ts'
import { operationData } from '../plc/operation.ts'
import { verifySignature } from '../plc/signature.ts'
import type { EcdsaVerify } from '../plc/signature.ts'
import { PlcError } from '../plc/error.ts'
import { readVerifiedLog } from './read-log.ts'

/** From an operation on, a stronger key may undo it. */
const RECOVERY_WINDOW_MS = 72 * 60 * 60 * 1000

/**
 * What an operation is that has no outcome on record here.
 * - `our-key`: one of our keys signed it. Somebody else has the key, or the record was changed.
 * - `loss`: none of our keys is in the identity any more.
 * - `foreign`: it nullified operations that were in force.
 * - `user`: another key of the identity signed it, and ours stay.
 */
export type ForeignClass = 'our-key' | 'loss' | 'foreign' | 'user'

export type ForeignOperation = {
  readonly did: string
  readonly cid: string
  readonly class: ForeignClass
  readonly createdAt: Date
  /** Until then a stronger key can undo it. */
  readonly deadline: Date
}

export type NullifiedOperation = {
  readonly did: string
  readonly cid: string
  readonly request: string
  readonly by: string
}

export type Compared = {
  readonly lines: number
  readonly own: number
  readonly foreign: readonly ForeignOperation[]
  readonly nullified: readonly NullifiedOperation[]
}

/** The durable side of following; `commit` is one transaction with its entries inside. */
export type FollowStore = {
  /** null: never followed this directory. */
  cursor(directory: string): Promise<number | null>
  /** Those in care, with their caller. */
  inCare(dids: readonly string[]): Promise<ReadonlyMap<string, string>>
  /** CIDs whose signature has exactly one outcome in the record, with their request. */
  outcomes(cids: readonly string[]): Promise<ReadonlyMap<string, string>>
  /** Of these, the ones that a recovery key signed in a ceremony whose import is on record. */
  ceremonial(cids: readonly string[]): Promise<ReadonlySet<string>>
  /** Of these, the ones of which an entry tells already. */
  reported(cids: readonly string[]): Promise<ReadonlySet<string>>
  commit(found: {
    readonly directory: string
    readonly cursor: number
    readonly foreign: readonly ForeignOperation[]
    readonly nullified: readonly NullifiedOperation[]
    readonly logs: readonly { readonly log: VerifiedLog; readonly caller: string }[]
  }): Promise<void>
}

export type CompareDeps = {
  readonly store: FollowStore
  readonly directoryUrl: string
  readonly directoryExport: DirectoryExport
  readonly directory: PlcDirectory
  readonly verify: EcdsaVerify
  /** did:keys that sign here, those that are retired too. */
  readonly ourKeys: readonly string[]
}

const READ_DEADLINE_MS = 20_000

/**
 * Reads the directory's export on from the kept cursor to its end, and compares what concerns
 * identities in care with the record. A crash between two pages repeats the second one, which reports
 * nothing twice. The first run begins at the newest operation: whoever comes into care later is
 * verified whole at that time.
 */
export async function compareOnward(
  deps: CompareDeps,
  onPage: (compared: Compared) => void,
  signal: AbortSignal,
): Promise<void> {
  const directory = deps.directoryUrl
  let cursor = await deps.store.cursor(directory)
  if (cursor === null) {
    cursor = await deps.directoryExport.newest(deadline(signal))
    await deps.store.commit({ directory, cursor, foreign: [], nullified: [], logs: [] })
  }
  while (!signal.aborted) {
    const lines = await deps.directoryExport.page(cursor, deadline(signal))
    const last = lines.at(-1)
    if (last === undefined) return
    const compared = await comparePage(deps, lines, last.seq)
    cursor = last.seq
    onPage(compared)
  }
}

const deadline = (signal: AbortSignal) =>
  AbortSignal.any([signal, AbortSignal.timeout(READ_DEADLINE_MS)])

async function comparePage(
  deps: CompareDeps,
  all: readonly ExportLine[],
  cursor: number,
): Promise<Compared> {
  const { store } = deps
  const care = await store.inCare([...new Set(all.map(({ did }) => did))])
  const lines = all.filter(({ did }) => care.has(did))
  const own = await store.outcomes(lines.map(({ cid }) => cid))
  const known = await store.reported(lines.map(({ cid }) => cid))
  const strange = lines.filter(({ cid }) => !own.has(cid) && !known.has(cid))
  const logs: { log: VerifiedLog; caller: string }[] = []
  const foreign: ForeignOperation[] = []
  const nullified: NullifiedOperation[] = []
  for (const did of new Set(strange.map((line) => line.did))) {
    const ofDid = strange.filter((line) => line.did === did)
    const log = await readIfValid(did, deps)
    if (log === null) {
      foreign.push(...ofDid.map(unverified))
      continue
    }
    logs.push({ log, caller: care.get(did) ?? '' })
    const cids = ofDid.map(({ cid }) => cid)
    const expected = await store.ceremonial(cids)
    const classified = await classifyAll(deps, log, cids)
    // Another key of the identity signed it, and the ceremony says that it was the recovery key. Whatever
    // our own keys signed, or took ours out, no ceremony explains.
    foreign.push(...classified.filter((one) => one.class !== 'user' || !expected.has(one.cid)))
    nullified.push(...(await nullifiedOf(store, log, cids)))
  }
  await store.commit({ directory: deps.directoryUrl, cursor, foreign, nullified, logs })
  return { lines: lines.length, own: own.size, foreign, nullified }
}

/** null: the directory shows a log that nobody can verify, which must not hold up the others. */
async function readIfValid(did: string, deps: CompareDeps): Promise<VerifiedLog | null> {
  try {
    return await readVerifiedLog(did, deps)
  } catch (error) {
    const isJudged =
      error instanceof DirectoryError && ['malformed', 'not-registered'].includes(error.code)
    if (isJudged) return null
    throw error
  }
}

function unverified({ did, cid, createdAt }: ExportLine): ForeignOperation {
  const at = new Date(createdAt)
  const from = Number.isNaN(at.getTime()) ? new Date(0) : at
  const deadline = new Date(from.getTime() + RECOVERY_WINDOW_MS)
  return { did, cid, class: 'foreign', createdAt: from, deadline }
}

async function classifyAll(
  deps: CompareDeps,
  log: VerifiedLog,
  cids: readonly string[],
): Promise<ForeignOperation[]> {
  const found: ForeignOperation[] = []
  for (const cid of cids) {
    // A line that the log does not show was never in force.
    const entry = log.entries.find((one) => one.cid === cid)
    if (entry === undefined) continue
    const { createdAt } = entry
    const until = new Date(createdAt.getTime() + RECOVERY_WINDOW_MS)
    found.push({
      did: log.did,
      cid,
      class: await classOf(deps, log, entry),
      createdAt,
      deadline: until,
    })
  }
  return found
}

async function classOf(
  { ourKeys, verify }: CompareDeps,
  log: VerifiedLog,
  entry: LogEntry,
): Promise<ForeignClass> {
  if (await isSignedBy(ourKeys, entry, verify)) return 'our-key'
  const left = operationData(entry.operation)?.rotationKeys ?? []
  if (!left.some((key) => ourKeys.includes(key))) return 'loss'
  return siblings(log, entry).length > 0 ? 'foreign' : 'user'
}

async function isSignedBy(
  keys: readonly string[],
  { operation }: LogEntry,
  verify: EcdsaVerify,
): Promise<boolean> {
  const bytes = withoutSignature(encodeSignedOperation(operation))
  const compact = parseSignature(operation.sig)
  try {
    await verifySignature({ bytes, compact, keys, verify })
    return true
  } catch (error) {
    if (error instanceof PlcError && error.code === 'bad-signature') return false
    throw error
  }
}

/** What came after the same `prev` before, and is nullified by it. */
function siblings(log: VerifiedLog, entry: LogEntry): LogEntry[] {
  return log.entries.filter(
    (other) =>
      other.nullified &&
      other.operation.prev === entry.operation.prev &&
      other.createdAt < entry.createdAt,
  )
}

async function nullifiedOf(
  store: FollowStore,
  log: VerifiedLog,
  cids: readonly string[],
): Promise<NullifiedOperation[]> {
  const gone = log.entries.filter(({ nullified }) => nullified).map(({ cid }) => cid)
  if (gone.length === 0) return []
  const ours = await store.outcomes(gone)
  const known = await store.reported(gone)
  return [...ours].flatMap(([cid, request]) =>
    known.has(cid) ? [] : [{ did: log.did, cid, request, by: cids.at(-1) ?? log.head.cid }],
  )
}
