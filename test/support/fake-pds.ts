import { DirectoryError } from '../../src/directory/directory.ts'
import type { ListAccounts } from '../../src/directory/directory.ts'

/**
 * A PDS that lists what a test says, oldest first, in pages; a cursor is the number of accounts before
 * it. As the real one does, it gives a cursor with its last page too.
 */
export type FakePds = {
  readonly dids: string[]
  /** Each call: the address and the cursor that it came with. */
  readonly calls: { pds: string; cursor: string | null }[]
  pageSize: number
  /** What happens while a page is asked for. */
  onList: () => Promise<void> | void
  readonly list: ListAccounts
}

export function createFakePds(): FakePds {
  const fake: FakePds = {
    dids: [],
    calls: [],
    pageSize: 1_000,
    onList: () => {},
    async list(pds, cursor) {
      fake.calls.push({ pds, cursor })
      await fake.onList()
      const start = Number(cursor ?? 0)
      const dids = fake.dids.slice(start, start + fake.pageSize)
      return { dids, cursor: dids.length === 0 ? null : String(start + dids.length) }
    },
  }
  return fake
}

export const unreachablePds: ListAccounts = async (pds) => {
  throw new DirectoryError('unknown', `no answer from ${pds}`)
}
