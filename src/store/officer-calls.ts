import { orBusy } from './database.ts'
import type { Database } from './database.ts'

/** Remembers a call for so long that nobody could send it again in time. */
const REMEMBERED_SECONDS = 300

/**
 * Lets an officer's call in once, whichever instance it reaches.
 * @param digest of the whole call, 32 bytes
 * @returns false when it was used before
 */
export function createUseOnce({
  $client: pool,
}: Pick<Database, '$client'>): (digest: Uint8Array) => Promise<boolean> {
  return async (digest) =>
    await orBusy(async () => {
      const { rowCount } = await pool.query({
        name: 'holdfast_officer_call',
        text: `
          insert into officer_calls (digest, until)
          values ($1, clock_timestamp() + interval '${REMEMBERED_SECONDS} seconds')
          on conflict do nothing`,
        values: [Buffer.from(digest)],
      })
      return rowCount === 1
    })
}
