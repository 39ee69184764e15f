import { z } from 'zod'
import { DirectoryError } from './directory.ts'
import type { AccountPage, ListAccounts } from './directory.ts'
import { getJson } from './json-get.ts'

/** The most that `com.atproto.sync.listRepos` gives at once. */
const PAGE_SIZE = 1_000
const MAX_ANSWER_BYTES = 4 * 1024 * 1024

const page = z.object({
  repos: z.array(z.object({ did: z.string() })),
  cursor: z.string().min(1).max(1_024).optional(),
})
const PLC_DID = /^did:plc:[a-z2-7]{24}$/

/**
 * `com.atproto.sync.listRepos`, open to everybody, oldest account first. Accounts of other DID
 * methods are left out: they have no rotation key.
 */
export const listAccountsOverHttp: ListAccounts = async (pds, cursor, signal) => {
  const query = new URLSearchParams({ limit: String(PAGE_SIZE) })
  if (cursor !== null) query.set('cursor', cursor)
  const url = `${pds}/xrpc/com.atproto.sync.listRepos?${query.toString()}`
  return readPage(pds, await getJson(url, { signal, from: pds, maxBytes: MAX_ANSWER_BYTES }))
}

function readPage(pds: string, answer: unknown): AccountPage {
  const parsed = page.safeParse(answer)
  if (!parsed.success) {
    throw new DirectoryError('malformed', `${pds} answered something that is no list of accounts`)
  }
  const { repos, cursor = null } = parsed.data
  const dids = [...new Set(repos.map(({ did }) => did))].filter((did) => PLC_DID.test(did))
  // An empty page ends the list even if it has a cursor: nothing would come of going on.
  return { dids, cursor: repos.length === 0 ? null : cursor }
}
