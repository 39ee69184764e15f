import { sql } from 'drizzle-orm'
import type { CosignedStore } from '../sequencer/witnessing.ts'
import { orBusy } from './database.ts'
import type { Database } from './database.ts'
import { cosignedCheckpoint, witnesses } from './schema.ts'

/** What witnesses have cosigned. It proves itself: rows are believed in nothing. */
export function createCosignedStore(db: Database): CosignedStore {
  return {
    sizes: async () => {
      const rows = await orBusy(async () => await db.select().from(witnesses))
      return new Map(rows.map(({ key, size }) => [key, size]))
    },
    keepSize: async (key, size) => {
      await orBusy(async () => {
        await db
          .insert(witnesses)
          .values({ key, size })
          .onConflictDoUpdate({ target: witnesses.key, set: { size } })
      })
    },
    newest: async () => {
      const [row] = await orBusy(async () => await db.select().from(cosignedCheckpoint).limit(1))
      return row === undefined ? null : { size: row.size, note: row.note }
    },
    keep: async ({ size, note }) => {
      await orBusy(async () => {
        await db
          .insert(cosignedCheckpoint)
          .values({ id: 1, size, note })
          .onConflictDoUpdate({
            target: cosignedCheckpoint.id,
            set: { size, note },
            // Another instance may have been quicker, with a later one.
            setWhere: sql`${cosignedCheckpoint.size} <= ${size}`,
          })
      })
    },
  }
}
