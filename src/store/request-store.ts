import type { RequestStore } from '../custody/ports.ts'
import type { Sealer } from '../sealing/sealer.ts'
import { createClaim } from './claim.ts'
import { orBusy } from './database.ts'
import type { Database } from './database.ts'
import { createFindOperation } from './find-operations.ts'
import { enroll } from './operations.ts'
import { createOwnSignatures } from './own-signatures.ts'
import { createRecord, fail, postpone } from './record.ts'

export function createRequestStore(db: Database, sealer: Sealer): RequestStore {
  const findOperation = createFindOperation(db, sealer)
  const own = createOwnSignatures()
  const claim = createClaim(db.$client, sealer, own)
  const record = createRecord(db.$client, sealer, own)
  return {
    findOperation: async (cid) => await orBusy(() => findOperation(cid)),
    claim: async (input, judge) => await orBusy(() => claim(input, judge)),
    record: async (signature, signed) => await orBusy(() => record(signature, signed)),
    fail: async (intent, reason) => await orBusy(() => fail(db, intent, reason)),
    postpone: async (intent, reason) => await orBusy(() => postpone(db, intent, reason)),
    enroll: enroll(db, sealer),
  }
}
