import type { RequestStore } from '../custody/ports.ts'
import { claim } from './claim.ts'
import { orBusy } from './database.ts'
import type { Database } from './database.ts'
import { enroll, findOperation } from './operations.ts'
import { fail, record } from './record.ts'

export function createRequestStore(db: Database): RequestStore {
  return {
    findOperation: async (cid) => await orBusy(() => findOperation(db, cid)),
    claim: async (input, judge) => await orBusy(() => claim(db, input, judge)),
    record: async (signature, signed) => await orBusy(() => record(db, signature, signed)),
    fail: async (intent, reason) => await orBusy(() => fail(db, intent, reason)),
    enroll: enroll(db),
  }
}
