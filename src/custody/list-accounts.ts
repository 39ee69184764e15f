import { DirectoryError } from '../directory/directory.ts'
import type { ListAccounts } from '../directory/directory.ts'
import type { PolicySet } from '../policy/policy-set.ts'
import type { CustodyEvent } from './events.ts'

/** How far a caller's PDS has been listed. Kept by the store, so that all instances share it. */
export type AccountListing = {
  /**
   * Where to go on; null when this PDS was asked less than ten seconds ago, or has listed more
   * accounts that are not in care than we keep.
   */
  beginListing(caller: string, pds: string): Promise<{ readonly cursor: string | null } | null>
  /** Keeps those accounts of a page that are not in care, and where that page began. */
  keepPage(
    caller: string,
    page: {
      readonly pds: string
      readonly dids: readonly string[]
      readonly cursor: string | null
    },
  ): Promise<void>
}

/** Pages of one run: a PDS that was never listed is gone through in several. */
const MAX_PAGES = 5
const PAGE_DEADLINE_MS = 3_000

export type ListingDeps = {
  readonly search: AccountListing
  readonly listAccounts: ListAccounts
  readonly policies: PolicySet
  readonly report: (event: CustodyEvent) => void
}

/** Lists what is new on a caller's own PDS. Calls that come while a run is under way wait for it. */
export function createListing(
  deps: ListingDeps,
): (caller: string, signal: AbortSignal) => Promise<void> {
  const running = new Map<string, Promise<void>>()
  return async (caller, signal) => {
    const pds = deps.policies.callers.find(({ name }) => name === caller)?.pds
    if (pds === undefined) return
    const run = running.get(caller) ?? listNew(deps, { caller, pds, signal })
    running.set(caller, run)
    try {
      await run
    } finally {
      if (running.get(caller) === run) running.delete(caller)
    }
  }
}

/** A PDS that does not answer is no failure: what it listed before may be enough. */
async function listNew(
  deps: ListingDeps,
  { caller, pds, signal }: { caller: string; pds: string; signal: AbortSignal },
): Promise<void> {
  const begun = await deps.search.beginListing(caller, pds)
  if (begun === null) return
  let { cursor } = begun
  try {
    for (let pages = 0; pages < MAX_PAGES; pages += 1) {
      const deadline = AbortSignal.any([signal, AbortSignal.timeout(PAGE_DEADLINE_MS)])
      const page = await deps.listAccounts(pds, cursor, deadline)
      // The cursor that is kept is where this page began: the next run sees its end again, and with
      // it an account that was slow to appear.
      if (page.dids.length > 0) await deps.search.keepPage(caller, { pds, dids: page.dids, cursor })
      if (page.cursor === null || page.cursor === cursor) return
      cursor = page.cursor
    }
  } catch (error) {
    if (!(error instanceof DirectoryError)) throw error
    deps.report({ kind: 'accounts-unlisted', caller, error })
  }
}
