import type { RequestStore } from '../custody/ports.ts'
import { claim } from './claim.ts'
import type { Database } from './database.ts'
import { enroll, findOperation } from './operations.ts'
import { fail, record } from './record.ts'

export function createRequestStore(db: Database): RequestStore {
  return {
    findOperation: async (cid) => await findOperation(db, cid),
    claim: async (input, judge) => await claim(db, input, judge),
    record: async (signature, signed) => await record(db, signature, signed),
    fail: async (intent, reason) => await fail(db, intent, reason),
    enroll: enroll(db),
  }
}
