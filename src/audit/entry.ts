import * as dagCbor from '@ipld/dag-cbor'
import type { Decision } from '../policy/evaluate.ts'
import type { OperationCounts, PreviousOperation } from '../policy/facts.ts'
import type { ChangeKind, OperationClass } from '../policy/policy-set.ts'

/** An entry is read by strangers in years to come: its bytes must fit a tile bundle (C2SP tlog-tiles). */
export const MAX_ENTRY_BYTES = 60_000

type RequestId = { readonly request: string }

/** A key by its id in `keys.yaml`, or the one under which it was made, and its `did:key`. */
type KeyName = { readonly key: string; readonly keyDid: string }

/** What was sent to the directory, or seen in its log. */
type Submitted = RequestId & { readonly did: string; readonly cid: string }

/** How the operation that `prev` names stood when it was judged. */
export type Standing = Pick<PreviousOperation, 'owner' | 'nullified' | 'ours'> & {
  readonly recordedAt: number
}

/** A statement, and what proves who made it. */
type RawApproval = { readonly statement: Uint8Array; readonly evidence: Uint8Array }
type Said = RequestId & RawApproval

/** All that is needed to judge a request again from the log alone. */
export type JudgedRequest = RequestId & {
  readonly caller: string
  /** The officer who asked in the caller's place; null where the caller did. */
  readonly officer: string | null
  readonly key: string
  readonly keyDid: string
  readonly digest: Uint8Array
  /** The exact unsigned bytes, and those of the signed operation that `prev` names. */
  readonly unsigned: Uint8Array
  readonly previous: Uint8Array | null
  /** What was known of that operation; `recordedAt` in milliseconds. null where it is not known here. */
  readonly standing: Standing | null
  readonly did: string | null
  readonly class: OperationClass
  readonly changes: readonly ChangeKind[]
  readonly policy: Uint8Array
  readonly decision: Decision
  /** What was counted, and the head if the directory was read. */
  readonly operationCounts: OperationCounts
  readonly ruleCounts: Readonly<Record<string, number>>
  readonly didRuleCounts: Readonly<Record<string, number>>
  readonly observedHead: string | null
}

/** What was asked for, verbatim, and how officers said yes: their statements are about its SHA-256. */
export type Agreed = { readonly request: string; readonly approvals: readonly RawApproval[] }

/**
 * What happened, in the closed vocabulary of the log. Never a secret, a person's name
 * or words of somebody outside.
 * `signature.intended` names the signatures that it replaces: those are never handed out again.
 */
export type AuditEntry =
  | ({ readonly kind: 'request.proposed' } & JudgedRequest)
  | ({ readonly kind: 'request.denied' } & JudgedRequest)
  | ({ readonly kind: 'request.cancelled' } & RequestId)
  /** What an officer said, verbatim: all that is needed to verify it again. */
  | ({ readonly kind: 'approval.recorded' } & Said)
  | ({ readonly kind: 'rejection.recorded' } & Said)
  | ({ readonly kind: 'request.approved' } & RequestId)
  | ({ readonly kind: 'request.rejected' } & RequestId)
  /** Officers did not agree in time, or nobody had it signed in time. */
  | ({ readonly kind: 'request.expired' } & RequestId)
  /** So many were denied in that minute that these have no entry of their own. */
  | {
      readonly kind: 'denials.counted'
      readonly caller: string
      readonly minute: number
      readonly count: number
    }
  | ({ readonly kind: 'request.superseded'; readonly by: string } & RequestId)
  /** Its `prev` is no longer the head: the directory's log has gone on with another operation. */
  | ({ readonly kind: 'request.superseded'; readonly head: string } & RequestId)
  | ({ readonly kind: 'request.failed'; readonly reason: string } & RequestId)
  | ({
      readonly kind: 'signature.intended'
      readonly lease: string
      readonly digest: Uint8Array
      readonly keyDid: string
      readonly replaces: readonly string[]
      /** Where officers had to agree: by which name they know this service, and the roster then in force. */
      readonly agreement: { readonly audience: string; readonly roster: Uint8Array } | null
    } & RequestId)
  | ({
      readonly kind: 'signature.produced'
      readonly lease: string
      readonly did: string
      readonly cid: string
      readonly signature: Uint8Array
      /** Which home of the key made it, and the provider's id of that call; null where there is none. */
      readonly home: string | null
      readonly providerRequestId: string | null
    } & RequestId)
  /** The key could not be used, and certainly was not: the request waits again. */
  | ({
      readonly kind: 'signature.postponed'
      readonly lease: string
      readonly reason: string
    } & RequestId)
  | ({ readonly kind: 'submission.accepted' } & Submitted)
  /** Without the directory's words, which are anybody's. */
  | ({ readonly kind: 'submission.refused'; readonly status: number } & Submitted)
  | ({ readonly kind: 'submission.unknown' } & Submitted)
  | ({ readonly kind: 'operation.confirmed' } & Submitted)
  /** While these scopes are frozen, an officer has what was signed before sent on; none of them is who froze. */
  | ({
      readonly kind: 'submission.allowed'
      readonly person: string
      readonly frozen: readonly string[]
    } & RequestId)
  /** The first entry of a log: where its last checkpoint is held, its name, and who signs those (vkey). */
  | {
      readonly kind: 'trust.initialised'
      readonly store: string
      readonly origin: string
      readonly checkpointKey: string
    }
  /** The database had fewer entries than were checkpointed; the others came back from an export. */
  | {
      readonly kind: 'database.restored'
      readonly had: number
      readonly size: number
      readonly root: Uint8Array
    }
  /**
   * Entries `had` to `size` - 1 of the log that was called `from` are lost; it goes on as `origin`, whose
   * checkpoints that vkey signs. `agreed`: without an approval where the policies asked nobody.
   */
  | {
      readonly kind: 'log.forked'
      readonly from: string
      readonly size: number
      readonly root: Uint8Array
      readonly had: number
      readonly origin: string
      readonly checkpointKey: string
      readonly agreed: Agreed
    }
  /** In force in the directory, and signed by nobody here; `deadline`: until then it can be undone. */
  | {
      readonly kind: 'operation.foreign'
      readonly did: string
      readonly cid: string
      readonly class: 'our-key' | 'loss' | 'foreign' | 'user'
      readonly createdAt: number
      readonly deadline: number
    }
  /** Signed here, and not in force any more; `by` is the operation that came instead. */
  | ({
      readonly kind: 'operation.nullified'
      readonly did: string
      readonly cid: string
      readonly by: string
    } & RequestId)
  /** What a run of `audit reconcile` has found. */
  | {
      readonly kind: 'reconciliation.reported'
      readonly directory: string
      readonly operations: number
      readonly own: number
      readonly foreign: number
      readonly nullified: number
    }
  /** What a recovery key signed in a ceremony was taken in: so many operations, all in that result. */
  | {
      readonly kind: 'ceremony.imported'
      readonly ceremony: string
      readonly intent: Uint8Array
      readonly result: Uint8Array
      readonly operations: number
    }
  /** How far those operations have come when a run of `recovery submit` ended. */
  | {
      readonly kind: 'ceremony.reported'
      readonly ceremony: string
      readonly observed: number
      readonly open: number
      readonly stale: number
      readonly refused: number
      readonly overruled: number
    }
  /** The policies in force from here on, as the canonical bytes whose SHA-256 is their digest. */
  | { readonly kind: 'policy.changed'; readonly digest: Uint8Array; readonly set: Uint8Array }
  /** The officers in force from here on, in the same way. */
  | { readonly kind: 'roster.changed'; readonly digest: Uint8Array; readonly roster: Uint8Array }
  /** Somebody puts these in force, the `sequence`th change of the trust record: written before the record is. */
  | {
      readonly kind: 'trust.changed'
      readonly sequence: number
      readonly policies: Uint8Array
      readonly roster: { readonly epoch: number; readonly digest: Uint8Array } | null
      readonly by: 'operator' | 'officers'
      /** What the officers of before agreed to; null where there were none. */
      readonly agreed: Agreed | null
    }
  /** Nothing is signed for this scope (`all`, `caller NAME`, `key ID`), by `person:ID` or the `operator`: what stands. */
  | {
      readonly kind: 'signing.frozen'
      readonly scope: string
      readonly since: string
      readonly by: string
    }
  /** These are about to be lifted, each as the held record has it; `agreed`: null by the operator's word. */
  | {
      readonly kind: 'signing.thawed'
      readonly frozen: readonly string[]
      readonly agreed: Agreed | null
    }
  /** A member of that epoch has signed it whole: their acceptance, a JSON document, verbatim. */
  | {
      readonly kind: 'roster.accepted'
      readonly digest: Uint8Array
      readonly document: Uint8Array
    }
  | {
      readonly kind: 'did.enrolled'
      readonly did: string
      readonly caller: string
      readonly head: string
    }
  | {
      readonly kind: 'caller.added'
      readonly caller: string
      readonly accessKeyId: string
      readonly serial: number
    }
  | {
      readonly kind: 'caller.revoked'
      readonly caller: string
      readonly accessKeyId: string
      readonly serial: number
    }
  /** Made where it lives, or brought there from outside: then somebody else may have a copy. */
  | ({ readonly kind: 'key.created'; readonly home: string } & KeyName)
  | ({ readonly kind: 'key.imported'; readonly home: string } & KeyName)
  /** A key signed a message of its own kind for `keys check`, to show that it is there. */
  | ({ readonly kind: 'key.checked'; readonly home: string; readonly holds: boolean } & KeyName)
  | ({ readonly kind: 'key.retired' } & KeyName)
  /** From now on another home of the key signs; back again when `to` is the preferred one. */
  | ({
      readonly kind: 'key.taken-over'
      readonly from: string
      readonly to: string
      readonly reason: string
    } & KeyName)
  /** No login to this token until a person has looked, and a person who has. */
  | { readonly kind: 'key.latched'; readonly serial: string; readonly reason: string }
  | { readonly kind: 'key.unlatched'; readonly serial: string; readonly reason: string }

/** An entry as it goes into the outbox: hashed and stored once, never built again from columns. */
export type EncodedEntry = {
  readonly kind: AuditEntry['kind']
  /** What the entry is about, for look-ups only: a request, a DID, an access key id, a token's serial. */
  readonly subject: string
  readonly body: Uint8Array
}

/**
 * Canonical bytes (DAG-CBOR, schema version 1). `at` is Postgres's time in milliseconds.
 * @throws RangeError above 60 kB: nothing that is signed here comes near
 */
export function encodeEntry(entry: AuditEntry, at: Date): EncodedEntry {
  const body = dagCbor.encode({ v: 1, at: at.getTime(), ...entry })
  if (body.length > MAX_ENTRY_BYTES) throw new RangeError(`audit entry of ${body.length} bytes`)
  return { kind: entry.kind, subject: subjectOf(entry), body }
}

function subjectOf(entry: AuditEntry): string {
  switch (entry.kind) {
    case 'request.proposed':
    case 'request.denied':
    case 'request.cancelled':
    case 'approval.recorded':
    case 'rejection.recorded':
    case 'request.approved':
    case 'request.rejected':
    case 'request.expired':
    case 'request.superseded':
    case 'request.failed':
    case 'signature.intended':
    case 'signature.produced':
    case 'signature.postponed':
    case 'submission.accepted':
    case 'submission.refused':
    case 'submission.unknown':
    case 'submission.allowed':
    case 'operation.confirmed':
      return entry.request
    case 'operation.foreign':
    case 'operation.nullified':
      return entry.cid
    case 'reconciliation.reported':
      return entry.directory
    case 'ceremony.imported':
    case 'ceremony.reported':
      return entry.ceremony
    case 'trust.initialised':
      return entry.store
    case 'database.restored':
      return String(entry.size)
    case 'log.forked':
      return entry.origin
    case 'policy.changed':
    case 'roster.changed':
    case 'roster.accepted':
      return Buffer.from(entry.digest).toString('hex')
    case 'signing.frozen':
      return entry.scope
    case 'signing.thawed':
      return 'thaw'
    case 'trust.changed':
      return String(entry.sequence)
    case 'did.enrolled':
      return entry.did
    case 'denials.counted':
      return entry.caller
    case 'caller.added':
    case 'caller.revoked':
      return entry.accessKeyId
    case 'key.created':
    case 'key.imported':
    case 'key.checked':
    case 'key.retired':
    case 'key.taken-over':
      return entry.keyDid
    case 'key.latched':
    case 'key.unlatched':
      return entry.serial
  }
}
