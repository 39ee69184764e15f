import { sql } from 'drizzle-orm'
import {
  bigserial,
  boolean,
  customType,
  index,
  integer,
  jsonb,
  pgTable,
  text,
  timestamp,
  uniqueIndex,
  uuid,
} from 'drizzle-orm/pg-core'
import type { RequestState } from '../custody/request.ts'
import type { Decision } from '../policy/evaluate.ts'
import type { OperationClass } from '../policy/policy-set.ts'

const bytea = customType<{ data: Uint8Array; driverData: Buffer }>({
  dataType: () => 'bytea',
  toDriver: (value) => Buffer.from(value.buffer, value.byteOffset, value.byteLength),
  fromDriver: (value) => new Uint8Array(value),
})
const at = (name: string) => timestamp(name, { withTimezone: true, mode: 'date', precision: 3 })

/** SigV4 needs the clear secret, so it is sealed: see `seal.ts`. Rights come from `policies/`. */
export const callerCredentials = pgTable(
  'caller_credentials',
  {
    accessKeyId: text('access_key_id').primaryKey(),
    caller: text().notNull(),
    serial: integer().notNull(),
    sealedSecret: bytea('sealed_secret').notNull(),
    tokenHash: bytea('token_hash').notNull(),
    createdAt: at('created_at').notNull(),
  },
  (table) => [uniqueIndex('caller_credentials_serial').on(table.caller, table.serial)],
)

/** The identities in care. Each belongs to one caller. */
export const identities = pgTable('identities', {
  did: text().primaryKey(),
  caller: text().notNull(),
  createdAt: at('created_at').notNull(),
})

/** Signed operations whose bytes we hold; the CID is the hash of `bytes`, checked on reading. */
export const operations = pgTable(
  'operations',
  {
    cid: text().primaryKey(),
    did: text().notNull(),
    bytes: bytea().notNull(),
    /** The request that signed it here; null for one read from the directory. */
    requestId: uuid('request_id'),
    nullified: boolean().notNull(),
    recordedAt: at('recorded_at').notNull(),
  },
  (table) => [index('operations_did').on(table.did, table.recordedAt)],
)

/** One proposed operation on its way: exact bytes, what was decided, what came of it. */
export const requests = pgTable(
  'requests',
  {
    id: uuid().primaryKey(),
    caller: text().notNull(),
    keyId: text('key_id').notNull(),
    digest: bytea().notNull(),
    unsigned: bytea().notNull(),
    /** Known at once except for a genesis, which has its DID only after signing. */
    did: text(),
    prev: text(),
    operationClass: text('operation_class').$type<OperationClass>().notNull(),
    state: text().$type<RequestState>().notNull(),
    decision: jsonb().$type<Decision>().notNull(),
    rules: text().array().notNull(),
    policy: bytea().notNull(),
    /** Requests whose recorded signature this one replaces. */
    replaces: uuid().array().notNull(),
    /** Held by the call that may use the key and record; another may take over when it ends. */
    lease: uuid(),
    leaseUntil: at('lease_until'),
    signature: bytea(),
    cid: text(),
    createdAt: at('created_at').notNull(),
    intendedAt: at('intended_at'),
    producedAt: at('produced_at'),
  },
  (table) => [
    index('requests_bytes').on(table.digest, table.createdAt),
    index('requests_list').on(table.caller, table.createdAt, table.id),
    index('requests_prev').on(table.did, table.prev),
    index('requests_class').on(table.operationClass, table.intendedAt),
    uniqueIndex('requests_one_live_per_prev')
      .on(table.did, table.prev)
      .where(sql`${table.prev} is not null and ${table.state} in ('signing', 'returned', 'submitted')`),
    uniqueIndex('requests_one_live_genesis')
      .on(table.digest)
      .where(sql`${table.prev} is null and ${table.state} in ('signing', 'returned', 'submitted')`),
  ],
)

/** Committed audit entries, waiting for the Merkle log. `body` is the only truth; hash that. */
export const auditOutbox = pgTable(
  'audit_outbox',
  {
    id: bigserial({ mode: 'bigint' }).primaryKey(),
    kind: text().notNull(),
    subject: text().notNull(),
    body: bytea().notNull(),
  },
  (table) => [index('audit_outbox_subject').on(table.subject, table.kind)],
)
