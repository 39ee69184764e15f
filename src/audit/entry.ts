import * as dagCbor from '@ipld/dag-cbor'
import type { Decision } from '../policy/evaluate.ts'
import type { OperationCounts } from '../policy/facts.ts'
import type { ChangeKind, OperationClass } from '../policy/policy-set.ts'

/** An entry is read by strangers in years to come: its bytes must fit a tile bundle (C2SP tlog-tiles). */
export const MAX_ENTRY_BYTES = 60_000

type RequestId = { readonly request: string }

/** All that is needed to judge a request again from the log alone. */
export type JudgedRequest = RequestId & {
  readonly caller: string
  readonly key: string
  readonly keyDid: string
  readonly digest: Uint8Array
  /** The exact unsigned bytes, and those of the signed operation that `prev` names. */
  readonly unsigned: Uint8Array
  readonly previous: Uint8Array | null
  readonly did: string | null
  readonly class: OperationClass
  readonly changes: readonly ChangeKind[]
  readonly policy: Uint8Array
  readonly decision: Decision
  /** What was counted, and the head if the directory was read. */
  readonly operationCounts: OperationCounts
  readonly ruleCounts: Readonly<Record<string, number>>
  readonly observedHead: string | null
}

/**
 * What happened, in the closed vocabulary of the log. Never a secret, never a person's name.
 * `signature.intended` names the signatures that it replaces: those are never handed out again.
 */
export type AuditEntry =
  | ({ readonly kind: 'request.proposed' } & JudgedRequest)
  | ({ readonly kind: 'request.denied' } & JudgedRequest)
  | ({ readonly kind: 'request.superseded'; readonly by: string } & RequestId)
  | ({ readonly kind: 'request.failed'; readonly reason: string } & RequestId)
  | ({
      readonly kind: 'signature.intended'
      readonly lease: string
      readonly digest: Uint8Array
      readonly keyDid: string
      readonly replaces: readonly string[]
    } & RequestId)
  | ({
      readonly kind: 'signature.produced'
      readonly lease: string
      readonly did: string
      readonly cid: string
      readonly signature: Uint8Array
    } & RequestId)
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

/** An entry as it goes into the outbox: hashed and stored once, never built again from columns. */
export type EncodedEntry = {
  readonly kind: AuditEntry['kind']
  /** What the entry is about, for look-ups only: a request, a DID or an access key id. */
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
    case 'request.superseded':
    case 'request.failed':
    case 'signature.intended':
    case 'signature.produced':
      return entry.request
    case 'did.enrolled':
      return entry.did
    case 'caller.added':
    case 'caller.revoked':
      return entry.accessKeyId
  }
}
