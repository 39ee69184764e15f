import { sql } from 'drizzle-orm'
import type { Column } from 'drizzle-orm'
import {
  bigint,
  bigserial,
  boolean,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  text,
  uniqueIndex,
  uuid,
} from 'drizzle-orm/pg-core'
import type { LedgerState } from '../campaign/ledger.ts'
import type { RequestState, SubmissionOutcome } from '../custody/request.ts'
import type { Decision } from '../policy/evaluate.ts'
import type { OperationClass } from '../policy/policy-set.ts'
import { at, bytea } from './schema-types.ts'

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

/** What proves a row against whoever can write rows: see `seals.ts`. An empty one proves nothing. */
const seal = () =>
  bytea()
    .notNull()
    .default(sql`''::bytea`)

/** The identities in care. Each belongs to one caller. */
export const identities = pgTable('identities', {
  did: text().primaryKey(),
  caller: text().notNull(),
  createdAt: at('created_at').notNull(),
  seal: seal(),
})

/**
 * Where an operation's bytes say what its `atproto` key is: canonical DAG-CBOR writes the name, the
 * header of a text of 57 characters, the did:key. The name of a legacy genesis is `signingKey`.
 * Only for finding candidates: a handle could hold the same characters, so the log has the word.
 */
export const atprotoKeyIn = (bytes: Column) => sql<Uint8Array>`substring(${bytes} from coalesce(
  nullif(position('\\x67617470726f746f7839'::bytea in ${bytes}), 0) + 10,
  nullif(position('\\x6a7369676e696e674b65797839'::bytea in ${bytes}), 0) + 13) for 57)`

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
    /** Over all but `nullified`, which is what the directory said last. */
    seal: seal(),
  },
  (table) => [
    index('operations_did').on(table.did, table.recordedAt),
    index('operations_atproto').on(atprotoKeyIn(table.bytes)),
  ],
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
    /** Over who asked for which bytes, by which key, and when. */
    seal: seal(),
  },
  (table) => [
    index('requests_bytes').on(table.digest, table.createdAt),
    index('requests_list').on(table.caller, table.createdAt, table.id),
    index('requests_prev').on(table.did, table.prev),
    index('requests_class').on(table.operationClass, table.intendedAt),
    // Not `signing` and `returned`: every signature passes through them.
    index('requests_waiting')
      .on(table.state)
      .where(sql`${table.state} in ('proposed', 'approved', 'submitted')`),
    index('requests_asked')
      .on(table.caller)
      .where(sql`${table.state} = 'proposed'`),
    index('requests_denied')
      .on(table.caller, table.createdAt)
      .where(sql`${table.state} = 'denied'`),
    uniqueIndex('requests_one_live_per_prev')
      .on(table.did, table.prev)
      .where(
        sql`${table.prev} is not null and ${table.state} in ('signing', 'returned', 'submitted')`,
      ),
    uniqueIndex('requests_one_live_genesis')
      .on(table.digest)
      .where(sql`${table.prev} is null and ${table.state} in ('signing', 'returned', 'submitted')`),
  ],
)

/**
 * What officers were asked about a request that needs them. A table of its own: most requests need
 * nobody, and the row that every signature writes stays as narrow as it was.
 */
export const quorums = pgTable('quorums', {
  requestId: uuid('request_id').primaryKey(),
  /** `caller:NAME` or `person:ID`: whoever asked does not approve. */
  requester: text().notNull(),
  /** Digest of the officers who were asked. */
  roster: bytea().notNull(),
  /** Binds requester and time of the request to its bytes: a row that was changed asks nobody. */
  seal: bytea().notNull(),
})

/** What officers said, verbatim. None of these columns is believed: bytes are verified whenever they count. */
export const approvals = pgTable(
  'approvals',
  {
    requestId: uuid('request_id').notNull(),
    person: text().notNull(),
    decision: text().$type<'approve' | 'reject'>().notNull(),
    statement: bytea().notNull(),
    evidence: bytea().notNull(),
    nonce: bytea().notNull().unique(),
    recordedAt: at('recorded_at').notNull(),
  },
  (table) => [primaryKey({ columns: [table.requestId, table.person, table.decision] })],
)

/** Calls of officers that were let in: each is used once, by whatever instance it reaches. */
export const officerCalls = pgTable(
  'officer_calls',
  {
    digest: bytea().primaryKey(),
    until: at('until').notNull(),
  },
  (table) => [index('officer_calls_until').on(table.until)],
)

/** Denials of one caller in one minute that are only counted, until their entry is written. */
export const denialCounts = pgTable(
  'denial_counts',
  {
    caller: text().notNull(),
    minute: at('minute').notNull(),
    count: integer().notNull(),
  },
  (table) => [primaryKey({ columns: [table.caller, table.minute] })],
)

/**
 * What the directory said of a recorded signature that we sent it ourselves: the last answer, and when
 * its log showed the operation. The answers before it are in the audit entries.
 */
export const submissions = pgTable(
  'submissions',
  {
    requestId: uuid('request_id').primaryKey(),
    outcome: text().$type<SubmissionOutcome>().notNull(),
    /** The HTTP status of a refusal. */
    status: integer(),
    /** Escaped: it was written by somebody else. */
    message: text(),
    sentAt: at('sent_at').notNull(),
    /** When the log was last looked at for it; null: not since it was sent. */
    checkedAt: at('checked_at'),
    confirmedAt: at('confirmed_at'),
  },
  (table) => [
    index('submissions_open')
      .on(table.checkedAt)
      .where(sql`${table.confirmedAt} is null`),
  ],
)

/**
 * A result of a ceremony that was taken in, or is being: `complete` once all its operations are there.
 * `intent` is the one text of the intent, `result` the digest of what was signed.
 */
export const ceremonies = pgTable('ceremonies', {
  id: text().primaryKey(),
  intent: bytea().notNull(),
  result: bytea().notNull(),
  complete: boolean().notNull(),
  importedAt: at('imported_at').notNull(),
})

/** The ledger of what a recovery key signed: one row for each account, and how far it has come. */
export const ceremonyOperations = pgTable(
  'ceremony_operations',
  {
    ceremony: text().notNull(),
    did: text().notNull(),
    prev: text().notNull(),
    cid: text().notNull(),
    /** The signed operation; its CID is checked on reading. */
    bytes: bytea().notNull(),
    state: text().$type<LedgerState>().notNull(),
    /** Escaped: some of it was written by somebody else. */
    detail: text(),
    /** Not to be sent before; null: now. */
    notBefore: at('not_before'),
    changedAt: at('changed_at').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.ceremony, table.did] }),
    index('ceremony_operations_state').on(table.ceremony, table.state, table.did),
    index('ceremony_operations_cid').on(table.cid),
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

/**
 * The Merkle log. `idx` is the only order; the leaf is the hash of `body`. Nobody updates or deletes:
 * the application has no right to, and triggers stop whoever has.
 */
export const auditEntries = pgTable(
  'audit_entries',
  {
    idx: bigint({ mode: 'number' }).primaryKey(),
    leaf: bytea().notNull(),
    body: bytea().notNull(),
    /** Kind and subject of the few entries that are looked up by them. */
    lookUp: text('look_up'),
  },
  (table) => [
    index('audit_entries_look_up')
      .on(table.lookUp)
      .where(sql`${table.lookUp} is not null`),
  ],
)

/** Full tiles of 256 hashes (C2SP tlog-tiles); what is not full is computed. Append-only too. */
export const auditTiles = pgTable(
  'audit_tiles',
  {
    level: integer().notNull(),
    idx: bigint({ mode: 'number' }).notNull(),
    hashes: bytea().notNull(),
  },
  (table) => [primaryKey({ columns: [table.level, table.idx] })],
)

/** One row. `epoch` is the term of the elected sequencer: an older one writes nothing any more. */
export const auditHead = pgTable('audit_head', {
  id: integer().primaryKey(),
  epoch: bigint({ mode: 'number' }).notNull(),
  size: bigint({ mode: 'number' }).notNull(),
  /** The compact range: roots of the perfect subtrees, largest first. */
  peaks: bytea().notNull(),
})

/** One row: the newest signed checkpoint. What counts is the held record, outside of the database. */
export const auditCheckpoint = pgTable('audit_checkpoint', {
  id: integer().primaryKey(),
  size: bigint({ mode: 'number' }).notNull(),
  note: text().notNull(),
})

/** Up to where each witness has cosigned, by its verifier key: where to begin when it is asked again. */
export const witnesses = pgTable('witnesses', {
  key: text().primaryKey(),
  size: bigint({ mode: 'number' }).notNull(),
})

/** One row: the newest checkpoint that a quorum of witnesses cosigned. Whoever reads it verifies it. */
export const cosignedCheckpoint = pgTable('cosigned_checkpoint', {
  id: integer().primaryKey(),
  size: bigint({ mode: 'number' }).notNull(),
  note: text().notNull(),
})

/** How far the export of a directory was followed. */
export const followed = pgTable('followed', {
  directory: text().primaryKey(),
  cursor: bigint({ mode: 'number' }).notNull(),
})

/** Which policies were in force from when on; their bytes are in the log. The newest row counts. */
export const policySets = pgTable('policy_sets', {
  id: bigserial({ mode: 'bigint' }).primaryKey(),
  digest: bytea().notNull(),
  /** The digest of the officers with them, if any; then the canonical bytes of both. */
  roster: bytea(),
  set: bytea(),
  rosterSet: bytea('roster_set'),
  at: at('at').notNull(),
})

/** How far the door has looked by itself for a caller's accounts, and what it may still spend on it. */
export const accountSearches = pgTable('account_searches', {
  caller: text().primaryKey(),
  /** The address that `cursor` belongs to: another one is listed from its start. */
  pds: text(),
  cursor: text(),
  askedAt: at('asked_at'),
  /** When the directory reads that were spent will be earned back. */
  readsUntil: at('reads_until'),
})

/** Accounts that a caller's PDS lists and that are not in care: its word only, until a log is read. */
export const listedAccounts = pgTable(
  'listed_accounts',
  {
    caller: text().notNull(),
    did: text().notNull(),
    position: bigserial({ mode: 'bigint' }).notNull(),
    reads: integer().notNull().default(0),
  },
  (table) => [
    primaryKey({ columns: [table.caller, table.did] }),
    index('listed_accounts_next').on(table.caller, table.reads, table.position),
  ],
)

export * from './schema-people.ts'
