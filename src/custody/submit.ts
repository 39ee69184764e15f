import { DirectoryError } from '../directory/directory.ts'
import type { PlcDirectory } from '../directory/directory.ts'
import type { RecordedOperation, SubmitOperation, SubmitOutcome } from '../directory/submit.ts'
import type { VerifiedLog } from '../plc/log.ts'
import type { EcdsaVerify } from '../plc/signature.ts'
import { escapeText } from '../plc/text.ts'
import { StoreBusyError } from './ports.ts'
import { readVerifiedLog } from './read-log.ts'
import type { RequestState, SubmissionOutcome } from './request.ts'

/** A submission that has not been answered by then is `unknown`, and the log is read. */
const SUBMIT_DEADLINE_MS = 10_000
const MAX_MESSAGE = 300

/** What the directory said to one submission, as it is kept. */
export type Submission = {
  readonly outcome: SubmissionOutcome
  readonly status: number | null
  /** Escaped. */
  readonly message: string | null
}

/** A request of the caller's; `recorded` only while its signature is in force. */
export type FoundForSubmission = {
  readonly state: RequestState
  readonly recorded: RecordedOperation | null
}

/**
 * The durable side of submission; each method is one transaction with its audit entries inside.
 * None of them moves a request out of `confirmed`, `superseded` or another state that is final.
 */
export type SubmissionStore = {
  /** null: the caller has no such request. */
  find(query: { caller: string; requestId: string }): Promise<FoundForSubmission | null>
  /** `accepted` makes it `submitted`; every other outcome leaves the state as it is. */
  keepOutcome(recorded: RecordedOperation, submission: Submission): Promise<void>
  /** The directory's log has it, not nullified. */
  confirm(recorded: RecordedOperation): Promise<void>
  /** Its `prev` is no longer the head, for good; `head` is. */
  retire(recorded: RecordedOperation, head: string): Promise<void>
  /** Submitted, or sent without a definite answer, and never seen in the log: least recently looked at first. */
  listOpen(limit: number): Promise<RecordedOperation[]>
  /** It was looked for and is not there yet. */
  keepLook(recorded: RecordedOperation): Promise<void>
}

export type SubmitDeps = {
  readonly submissions: SubmissionStore
  readonly directory: PlcDirectory
  readonly submitOperation: SubmitOperation
  readonly verify: EcdsaVerify
}

export type SubmitResult =
  /** Its state says what holds: `confirmed`, `submitted`, or `returned` after a refusal or no answer. */
  | { readonly kind: 'sent' }
  | { readonly kind: 'not-found' }
  /** It has no signature in force, or the operation that its `prev` names has to go first. */
  | { readonly kind: 'conflict'; readonly state: RequestState; readonly message: string }
  /** The head is another one: it can never be accepted. */
  | { readonly kind: 'stale'; readonly head: string }
  /** Nothing was sent: officers have stopped it. */
  | { readonly kind: 'frozen'; readonly message: string }
  /** Nothing was sent; ask again. */
  | { readonly kind: 'busy'; readonly message: string }

export type Submit = (input: {
  caller: string
  requestId: string
  /** Who asks in the caller's place, where one does. */
  officer?: string | null
}) => Promise<SubmitResult>

/**
 * Submits a recorded signature. The log is read before and after: before, because a stale `prev` by a
 * strong key would not be refused but would nullify; after, because no answer of the directory tells
 * "accepted" from "accepted, and you were told otherwise".
 */
export function createSubmit(deps: SubmitDeps): Submit {
  return async (input) => {
    try {
      return await submitOnce(deps, input)
    } catch (error) {
      if (error instanceof StoreBusyError) return busy('the database cannot serve this now')
      throw error
    }
  }
}

async function submitOnce(
  deps: SubmitDeps,
  input: { caller: string; requestId: string },
): Promise<SubmitResult> {
  const found = await deps.submissions.find(input)
  if (found === null) return { kind: 'not-found' }
  const { state, recorded } = found
  if (state === 'confirmed') return { kind: 'sent' }
  if (recorded === null) return { kind: 'conflict', state, message: 'it has no signature in force' }
  const before = await look(deps, recorded)
  switch (before.kind) {
    case 'active':
      await deps.submissions.confirm(recorded)
      return { kind: 'sent' }
    case 'lost':
      await deps.submissions.retire(recorded, before.head)
      return { kind: 'stale', head: before.head }
    case 'behind': {
      const message = 'the directory does not show the operation that prev names; submit that first'
      return { kind: 'conflict', state, message }
    }
    case 'unread':
      return busy('the PLC directory cannot be read now, and nothing is submitted without its head')
    case 'next':
      return await send(deps, recorded)
  }
}

async function send(deps: SubmitDeps, recorded: RecordedOperation): Promise<SubmitResult> {
  const outcome = await deps.submitOperation(recorded, AbortSignal.timeout(SUBMIT_DEADLINE_MS))
  await deps.submissions.keepOutcome(recorded, submissionOf(outcome))
  await settle(deps, recorded)
  return { kind: 'sent' }
}

/** What the log shows of a submission by now, kept. A crash before it leaves the next look to find out. */
export async function settle(deps: SubmitDeps, recorded: RecordedOperation): Promise<Place> {
  const place = await look(deps, recorded)
  switch (place.kind) {
    case 'active':
      await deps.submissions.confirm(recorded)
      break
    case 'lost':
      await deps.submissions.retire(recorded, place.head)
      break
    case 'next':
    case 'behind':
      await deps.submissions.keepLook(recorded)
      break
    case 'unread':
  }
  return place
}

/** Where an operation stands towards the directory's log. */
export type Place =
  | { readonly kind: 'active' }
  /** Nullified, or another operation came after its `prev`: what was once passed is never head again. */
  | { readonly kind: 'lost'; readonly head: string }
  /** Its `prev` is the head, or it is a genesis that is not registered. */
  | { readonly kind: 'next' }
  /** Its `prev` is not there: not submitted, or not shown yet. */
  | { readonly kind: 'behind' }
  | { readonly kind: 'unread' }

async function look(deps: SubmitDeps, recorded: RecordedOperation): Promise<Place> {
  try {
    return placeIn(await readVerifiedLog(recorded.did, deps), recorded)
  } catch (error) {
    if (!(error instanceof DirectoryError)) throw error
    if (error.code !== 'not-registered') return { kind: 'unread' }
    return { kind: recorded.operation.prev === null ? 'next' : 'behind' }
  }
}

/** Pure. */
export function placeIn(log: VerifiedLog, { cid, operation }: RecordedOperation): Place {
  const own = log.entries.find((entry) => entry.cid === cid)
  if (own !== undefined) {
    return own.nullified ? { kind: 'lost', head: log.head.cid } : { kind: 'active' }
  }
  if (log.head.cid === operation.prev) return { kind: 'next' }
  const known = log.entries.some((entry) => entry.cid === operation.prev)
  return known ? { kind: 'lost', head: log.head.cid } : { kind: 'behind' }
}

function submissionOf(outcome: SubmitOutcome): Submission {
  switch (outcome.kind) {
    case 'accepted':
      return { outcome: 'accepted', status: null, message: null }
    case 'refused':
      return { outcome: 'refused', status: outcome.status, message: shown(outcome.message) }
    case 'unknown': {
      const { cause } = outcome
      return {
        outcome: 'unknown',
        status: null,
        message: shown(cause instanceof Error ? cause.message : 'no answer'),
      }
    }
  }
}

function shown(message: string): string {
  return escapeText(message.slice(0, MAX_MESSAGE))
}

function busy(message: string): SubmitResult {
  return { kind: 'busy', message }
}
