import { DirectoryError } from '../directory/directory.ts'
import type { AccountPage, ListAccounts } from '../directory/directory.ts'
import { systemClock } from './clock.ts'
import type { Clock } from './clock.ts'
import { backoffMs } from './pace.ts'

const PAGE_DEADLINE_MS = 30_000
const MAX_FAILURES = 4
/** Ten million accounts: a PDS that goes on after that is making them up. */
const MAX_PAGES = 10_000

export type ListedPage = {
  readonly dids: readonly string[]
  /** Where this page began. */
  readonly cursor: string | null
}

/**
 * All accounts of a PDS, page by page, oldest first. What fails is tried again; what goes on failing
 * ends the listing, since half a list would look like a whole one.
 * @throws DirectoryError
 */
export async function* listPds(
  pds: string,
  { listAccounts, clock = systemClock }: { listAccounts: ListAccounts; clock?: Clock },
): AsyncGenerator<ListedPage> {
  let cursor: string | null = null
  for (let pages = 0; pages < MAX_PAGES; pages += 1) {
    const page: AccountPage = await readPage(pds, cursor, { listAccounts, clock })
    if (page.dids.length > 0) yield { dids: page.dids, cursor }
    if (page.cursor === null || page.cursor === cursor) return
    cursor = page.cursor
  }
  throw new DirectoryError('malformed', `${pds} lists accounts without end`)
}

async function readPage(
  pds: string,
  cursor: string | null,
  { listAccounts, clock }: { listAccounts: ListAccounts; clock: Clock },
): Promise<AccountPage> {
  for (let failures = 1; ; failures += 1) {
    try {
      return await listAccounts(pds, cursor, AbortSignal.timeout(PAGE_DEADLINE_MS))
    } catch (error) {
      const passes =
        error instanceof DirectoryError &&
        (error.code === 'unknown' || error.code === 'rate-limited')
      if (!passes || failures === MAX_FAILURES) throw error
      await clock.sleep(Math.max(error.retryAfterMs ?? 0, backoffMs(failures - 1)))
    }
  }
}
