import type { SubmitOperation } from '../directory/submit.ts'
import type { VerifiedLog } from '../plc/log.ts'
import { quoteText } from '../plc/text.ts'
import { systemClock } from './clock.ts'
import { readEvidence } from './evidence.ts'
import type { EvidenceDeps } from './evidence.ts'
import type { Ledger, LedgerChange, LedgerRow, LedgerState } from './ledger.ts'

export type SubmitRecoveryDeps = EvidenceDeps & {
  readonly ledger: Ledger
  readonly submit: SubmitOperation
}

export type SubmitRecoveryOptions = {
  readonly ceremony: string
  /** Told of each row that has another state now. */
  readonly report: (row: LedgerRow, change: LedgerChange) => void
  /** No new row is begun after it aborts. */
  readonly signal: AbortSignal
}

const WIDTH = 8
const PAGE = 512
const SEND_DEADLINE_MS = 20_000
/** The directory counts the operations of an identity by the hour. */
const PER_DID_WAIT_MS = 60 * 60 * 1_000
/** More often than this a row that gets no answer is not tried in one run. */
const MAX_PASSES = 4

/**
 * Sends what a recovery key signed, and looks whether it is in force. The head is read again right before
 * each is sent, and nothing is sent on another head than it was planned on: a stronger key with an old
 * `prev` does not fail, it rewrites history. A row says that it is being sent before it is; after a crash
 * the directory's log says what became of it.
 */
export async function submitRecovery(
  deps: SubmitRecoveryDeps,
  options: SubmitRecoveryOptions,
): Promise<void> {
  for (let pass = 0; pass < MAX_PASSES && !options.signal.aborted; pass += 1) {
    const sent = await eachRow(deps, options, ['planned', 'sent', 'unknown'], sendOne)
    const looked = await eachRow(deps, options, ['accepted'], confirmOne)
    if (sent + looked === 0) return
  }
}

type One = (deps: SubmitRecoveryDeps, row: LedgerRow) => Promise<LedgerChange | null>

/** @returns how many there were */
async function eachRow(
  deps: SubmitRecoveryDeps,
  { ceremony, report, signal }: SubmitRecoveryOptions,
  states: readonly LedgerState[],
  one: One,
): Promise<number> {
  let after = ''
  let count = 0
  for (;;) {
    const page = await deps.ledger.list({ ceremony, states, after, limit: PAGE })
    const queue = page.toReversed()
    const worker = async (): Promise<void> => {
      for (let row = queue.pop(); row !== undefined && !signal.aborted; row = queue.pop()) {
        const change = await one(deps, row)
        if (change === null) continue
        await deps.ledger.keep(row, change)
        report(row, change)
      }
    }
    await inParallel(worker)
    count += page.length
    const last = page.at(-1)
    if (last === undefined || signal.aborted) return count
    after = last.recorded.did
  }
}

async function inParallel(worker: () => Promise<void>): Promise<void> {
  const ends = await Promise.allSettled(Array.from({ length: WIDTH }, worker))
  const failed = ends.find((end) => end.status === 'rejected')
  if (failed !== undefined) throw failed.reason
}

/** null: nothing is known that was not known before. */
async function sendOne(deps: SubmitRecoveryDeps, row: LedgerRow): Promise<LedgerChange | null> {
  const before = await readLog(deps, row)
  if (before === null) return null
  const settled = settledBy(before, row)
  if (settled !== null) return settled
  await deps.ledger.keep(row, changeTo('sent'))
  await deps.pace.turn()
  const outcome = await deps.submit(row.recorded, AbortSignal.timeout(SEND_DEADLINE_MS))
  switch (outcome.kind) {
    case 'accepted':
      deps.pace.answered()
      return changeTo('accepted')
    case 'unknown':
      return changeTo('unknown', 'the directory gave no definite answer')
    case 'refused':
      return await refusedBy(deps, row, outcome)
  }
}

async function refusedBy(
  deps: SubmitRecoveryDeps,
  row: LedgerRow,
  { status, message }: { readonly status: number; readonly message: string },
): Promise<LedgerChange> {
  const words = `the directory answered ${status}: ${quoteText(message)}`
  if (status === 429) {
    deps.pace.tooMany(null)
    return changeTo('planned', words)
  }
  deps.pace.answered()
  // Its own spelling; `too` in case that is mended.
  if (/too? many operations/i.test(message))
    return { ...changeTo('planned', words), waitMs: PER_DID_WAIT_MS }
  // It also says "Invalid signature" of what it has already, and of a head that has moved.
  const log = await readLog(deps, row)
  if (log === null) return changeTo('unknown', words)
  const settled = settledBy(log, row)
  if (settled !== null) return settled
  return status === 409 ? changeTo('planned', words) : changeTo('refused', words)
}

async function confirmOne(deps: SubmitRecoveryDeps, row: LedgerRow): Promise<LedgerChange | null> {
  const log = await readLog(deps, row)
  if (log === null) return null
  return settledBy(log, row) ?? changeTo('unknown', 'the directory took it and does not show it')
}

async function readLog(deps: SubmitRecoveryDeps, row: LedgerRow): Promise<VerifiedLog | null> {
  const { clock = systemClock } = deps
  const evidence = await readEvidence(row.recorded.did, { ...deps, clock })
  return evidence.kind === 'log' ? evidence.log : null
}

/** What the log itself says; null: it is still on the head that the operation follows. */
function settledBy(log: VerifiedLog, { recorded, prev }: LedgerRow): LedgerChange | null {
  const own = log.entries.find(({ cid }) => cid === recorded.cid)
  if (own?.nullified === true) {
    return changeTo('overruled', 'a stronger key has taken it out of history')
  }
  if (own !== undefined) {
    const others = log.entries.filter(
      ({ cid, operation }) => operation.prev === prev && cid !== recorded.cid,
    )
    const taken = others.filter(({ createdAt }) => createdAt < own.createdAt)
    if (taken.length === 0) return changeTo('observed')
    const cids = taken.map(({ cid }) => cid).join(', ')
    return changeTo('overruled', `it has taken out ${cids}, which came at the same moment`)
  }
  if (log.head.cid === prev) return null
  return changeTo('stale', `the head is ${log.head.cid} now`)
}

function changeTo(state: LedgerState, detail: string | null = null): LedgerChange {
  return { state, detail, waitMs: null }
}
