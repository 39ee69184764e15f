import { DirectoryError } from '../directory/directory.ts'
import type { ListAccounts, PlcDirectory } from '../directory/directory.ts'
import type { VerifiedLog } from '../plc/log.ts'
import type { UnsignedOperation } from '../plc/operation.ts'
import type { EcdsaVerify } from '../plc/signature.ts'
import type { PreviousOperation } from '../policy/facts.ts'
import type { PolicySet } from '../policy/policy-set.ts'
import { whyRefused } from './enroll.ts'
import type { CustodyEvent } from './events.ts'
import { createListing } from './list-accounts.ts'
import type { AccountListing } from './list-accounts.ts'
import type { Observation, RequestStore } from './ports.ts'
import { readVerifiedLog } from './read-log.ts'

/** Inside the patience of whoever waits at the door, key and database included. */
const FIND_DEADLINE_MS = 8_000
/** Logs that one call may read. */
export const MAX_READS = 3
/** Of identities in care: one has the operation's `atproto` key unless somebody plays games. */
const MAX_IN_CARE = 2

/** What is durable of the search. Every method is short and of its own transaction. */
export type AccountSearch = AccountListing & {
  /** DIDs in this caller's care with an operation that has this `atproto` key, newest first. */
  inCareWith(caller: string, atproto: string, limit: number): Promise<readonly string[]>
  /** The listed account to try next, counted as tried: least tried first, then newest. */
  takeListed(caller: string, except: readonly string[]): Promise<string | null>
  /** Pays for one read: Postgres's time, before the read is sent. null: the budget is spent. */
  payForRead(caller: string): Promise<Date | null>
}

export type FindResult =
  /** In care now. `observed`: `prev` is its head, and when that was seen; null: another call saw it. */
  | {
      readonly kind: 'found'
      readonly previous: PreviousOperation
      readonly observed: Observation | null
    }
  | { readonly kind: 'none' }
  /** Whether there is one cannot be known now. */
  | { readonly kind: 'busy'; readonly message: string }

/** Looks for the identity of an operation whose `prev` is not known here. */
export type FindIdentity = (input: {
  readonly caller: string
  readonly operation: UnsignedOperation
}) => Promise<FindResult>

export type FindDeps = {
  readonly store: Pick<RequestStore, 'findOperation' | 'enroll'>
  readonly search: AccountSearch
  readonly directory: PlcDirectory
  readonly listAccounts: ListAccounts
  readonly verify: EcdsaVerify
  readonly policies: PolicySet
  readonly report: (event: CustodyEvent) => void
}

type Candidate = { readonly did: string; readonly listedBy: string | null }

/**
 * An unknown `prev` is ordinary: the user signed with a key of their own, or moved in. Candidates
 * come from two places and nowhere else: the caller's identities in care, by the operation's
 * `atproto` key, and the accounts that the caller's own PDS lists. Neither is believed: a log is
 * read and verified, `prev` must be its head and a key of the caller must be listed there.
 *
 * Whoever holds the caller's credential can make us look, so every read is paid from a budget of
 * the caller's, and the PDS is asked at most once in ten seconds.
 */
export function createFindIdentity(deps: FindDeps): FindIdentity {
  const listNew = createListing(deps)
  return async ({ caller, operation }) => {
    // A tombstone of an identity that we know nothing of is never signed.
    if (operation.type !== 'plc_operation' || operation.prev === null) return { kind: 'none' }
    const signal = AbortSignal.timeout(FIND_DEADLINE_MS)
    const { atproto } = operation.verificationMethods
    const pds = deps.policies.callers.find(({ name }) => name === caller)?.pds ?? null
    const candidates = candidatesOf(deps, {
      caller,
      atproto,
      pds,
      list: () => listNew(caller, signal),
    })
    let reads = 0
    for await (const candidate of candidates) {
      const result = await tryCandidate(deps, { caller, prev: operation.prev, candidate, signal })
      if (result !== 'not-this-one') return result
      reads += 1
      if (reads === MAX_READS) break
    }
    // Calls that search at once try each other's candidates: what one takes into care is gone from
    // the list before the other comes to it.
    const previous = await deps.store.findOperation(operation.prev)
    return previous === null ? { kind: 'none' } : { kind: 'found', previous, observed: null }
  }
}

async function* candidatesOf(
  { search }: FindDeps,
  input: {
    caller: string
    atproto: string | undefined
    pds: string | null
    list: () => Promise<void>
  },
): AsyncGenerator<Candidate> {
  const { caller, atproto, pds } = input
  const tried: string[] = []
  if (atproto !== undefined) {
    for (const did of await search.inCareWith(caller, atproto, MAX_IN_CARE)) {
      tried.push(did)
      yield { did, listedBy: null }
    }
  }
  if (pds === null) return
  await input.list()
  for (;;) {
    const did = await search.takeListed(caller, tried)
    if (did === null) return
    tried.push(did)
    yield { did, listedBy: pds }
  }
}

async function tryCandidate(
  deps: FindDeps,
  input: { caller: string; prev: string; candidate: Candidate; signal: AbortSignal },
): Promise<FindResult | 'not-this-one'> {
  const { caller, prev, candidate, signal } = input
  const begunAt = await deps.search.payForRead(caller)
  if (begunAt === null) {
    deps.report({ kind: 'search-budget-spent', caller })
    return busy('too many operations with an unknown prev were looked for; ask again later')
  }
  const log = await read(deps, candidate.did, signal)
  if (log === 'unreadable') {
    return busy('the PLC directory cannot be read now, and prev is not known here')
  }
  if (log === null || !(await takeIntoCare(deps, { caller, candidate, log }))) return 'not-this-one'
  if (!log.entries.some(({ cid }) => cid === prev)) return 'not-this-one'
  // Known from now on, but a signature on it could only rewrite history.
  if (log.head.cid !== prev) return { kind: 'none' }
  const previous = await deps.store.findOperation(prev)
  if (previous === null) return { kind: 'none' }
  deps.report({ kind: 'identity-found', did: log.did, caller, listed: candidate.listedBy !== null })
  return { kind: 'found', previous, observed: { head: prev, begunAt } }
}

/** null: the directory has no log of it that verifies, and asking again would not help. */
async function read(
  deps: FindDeps,
  did: string,
  signal: AbortSignal,
): Promise<VerifiedLog | 'unreadable' | null> {
  try {
    return await readVerifiedLog(did, { ...deps, signal })
  } catch (error) {
    if (!(error instanceof DirectoryError)) throw error
    deps.report({ kind: 'directory-unreadable', did, error })
    switch (error.code) {
      case 'not-registered':
      case 'malformed':
        return null
      case 'rate-limited':
      case 'unknown':
        return 'unreadable'
    }
  }
}

/** An account that was only listed is the caller's if its own log says that it lives there. */
async function takeIntoCare(
  deps: FindDeps,
  input: { caller: string; candidate: Candidate; log: VerifiedLog },
): Promise<boolean> {
  const { caller, candidate, log } = input
  if (whyRefused(log, caller, deps.policies) !== null) return false
  const endpoint = log.data?.services.atproto_pds?.endpoint.replace(/\/+$/, '')
  if (candidate.listedBy !== null && endpoint !== candidate.listedBy) return false
  return (await deps.store.enroll(log, caller)) !== 'foreign'
}

const busy = (message: string): FindResult => ({ kind: 'busy', message })
