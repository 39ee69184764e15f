import type { RequestStore } from '../custody/ports.ts'
import type { Sealer } from '../sealing/sealer.ts'
import type { Database } from './database.ts'
import { createEnrolmentStore } from './enrolment.ts'

/** Keeps one verified log whole. */
export const enroll = (db: Database, sealer: Sealer): RequestStore['enroll'] => {
  const store = createEnrolmentStore(db, sealer)
  return async (log, caller) => {
    const outcome = (await store.enrollAll([log], caller)).get(log.did)
    if (outcome === undefined) throw new TypeError('an enrolment answers for every log')
    return outcome
  }
}
