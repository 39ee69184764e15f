import type { Authorized } from '../approval/authorize.ts'
import type { RawApproval } from '../approval/evidence.ts'
import type { Requester } from '../approval/matter.ts'
import type { JudgedRequest } from '../audit/entry.ts'
import type { SigningBytes } from '../plc/encode.ts'
import type { VerifiedLog } from '../plc/log.ts'
import type { SignedOperation } from '../plc/operation.ts'
import type { Decision } from '../policy/evaluate.ts'
import type { OperationCounts, PreviousOperation, Subject } from '../policy/facts.ts'
import type { OperationClass, Rule } from '../policy/policy-set.ts'
import type { CommittedIntent, VerifiedSignature } from '../signer/signer.ts'
import type { RequestState } from './request.ts'

/** A request as the store holds it. State columns are for finding it; evidence is in its bytes. */
export type StoredRequest = {
  readonly id: string
  readonly caller: string
  readonly keyId: string
  readonly digest: Uint8Array
  readonly unsigned: Uint8Array
  readonly did: string | null
  readonly prev: string | null
  readonly operationClass: OperationClass
  readonly state: RequestState
  readonly decision: Decision
  readonly policy: Uint8Array
  readonly replaces: readonly string[]
  readonly leaseUntil: Date | null
  readonly signature: Uint8Array | null
  readonly cid: string | null
  readonly createdAt: Date
  readonly intendedAt: Date | null
  readonly producedAt: Date | null
}

/** What officers were asked about a request, and all that they said: evidence, to be verified anew. */
export type Asked = {
  readonly requestId: string
  readonly requester: Requester
  /** The officers who were asked, by the digest of their epoch. */
  readonly roster: Uint8Array
  /** When it was asked for: `createdAt` of the request, sealed here with the requester. */
  readonly proposedAt: Date
  readonly said: readonly RawApproval[]
}

/** What a claim is for: exact bytes of one caller for one key. */
export type ClaimInput = {
  readonly subject: Subject
  readonly bytes: SigningBytes
  readonly digest: Uint8Array
  /** Rules whose use must be counted, each under a lock until the claim is committed. */
  readonly limited: readonly Rule[]
}

/** Read under the claim's lock: nothing in it changes before the verdict is committed. */
export type ClaimSnapshot = {
  readonly now: Date
  /**
   * Requests for the same bytes by the same caller with the same key: those whose signature was
   * replaced, then the others, newest first.
   */
  readonly same: readonly StoredRequest[]
  /**
   * Requests that hold a claim or a signature on the same `prev` (or genesis) otherwise, and those
   * whose signature there was replaced: it is still out in the world.
   */
  readonly rivals: readonly StoredRequest[]
  /** Of all of these, those that officers were asked about and that may still be signed. */
  readonly asked: readonly Asked[]
  /** The caller's other requests about this identity that wait for officers, or for their signing. */
  readonly open: readonly StoredRequest[]
  /** How many requests of this caller wait for officers; counted to one more than is allowed. */
  readonly openOfCaller: number
  /** This instance's own clock, and how far Postgres's is from it, in milliseconds. */
  readonly instanceNow: Date
  readonly clocksApart: number
  readonly operationCounts: OperationCounts
  readonly ruleCounts: Readonly<Record<string, number>>
  readonly didRuleCounts: Readonly<Record<string, number>>
}

/** A head seen in a verified log; `begunAt` (Postgres's clock) is before the read was sent. */
export type Observation = { readonly head: string; readonly begunAt: Date }

/** What is to be written; `stop` writes nothing and hands its value through. */
export type Verdict<T> =
  | { readonly kind: 'stop'; readonly value: T }
  | {
      readonly kind: 'deny'
      /** What the log keeps, and what the caller is told where that must be less. */
      readonly judged: Judged
      readonly told: {
        readonly did: string | null
        readonly class: OperationClass
        readonly decision: Decision
      }
    }
  /**
   * Kept: `proposed` where officers are asked, else `approved`. Nothing is signed, and no `prev` is
   * held, until somebody asks for that.
   */
  | {
      readonly kind: 'propose'
      readonly judged: Judged
      readonly requestId: string
      readonly asks: Pick<Asked, 'requester' | 'roster'> | null
      /** Requests that end with it. */
      readonly ends: readonly Ending[]
    }
  | {
      readonly kind: 'claim'
      readonly judged: Judged
      readonly authorized: Authorized
      /** The approved request, or the one whose lease ended, to go on with; null makes a new one. */
      readonly reclaims: StoredRequest | null
      /** Rivals that end here; those with a signature are named as replaced. */
      readonly supersedes: readonly StoredRequest[]
      /** Where officers agreed: who they are, and by which name they know this service. */
      readonly agreement: { readonly audience: string; readonly roster: Uint8Array } | null
    }
/** A request that ends without a signature, by the state in which it was judged. */
export type Ending = {
  readonly request: StoredRequest
  readonly to: 'expired' | 'superseded'
}

export type Judged = Omit<JudgedRequest, 'request'>

export type ClaimOutcome<T> =
  | { readonly kind: 'stopped'; readonly value: T }
  /** `requestId` is null where so many were denied that this one is only counted. */
  | { readonly kind: 'denied'; readonly requestId: string | null; readonly decision: Decision }
  | { readonly kind: 'proposed'; readonly requestId: string; readonly decision: Decision }
  | {
      readonly kind: 'claimed'
      readonly intent: CommittedIntent
      /** The grounds of it. */
      readonly decision: Decision
    }

/** The store is overloaded or away. Nothing is known of the call; asking again finds out. */
export class StoreBusyError extends Error {
  override readonly name: string = 'StoreBusyError'
}

/** Nothing is signed until somebody has looked after the audit log; the message says what is wrong. */
export class SigningStoppedError extends StoreBusyError {
  override readonly name = 'SigningStoppedError'
}

/** Officers, or the operator, have stopped signing for this caller or key. It is no failure, and no "ask again". */
export class FrozenError extends Error {
  override readonly name = 'FrozenError'
}

/** What the database holds is not what was written there. Nothing is signed; somebody must look. */
export class TamperedError extends Error {
  override readonly name = 'TamperedError'
}

/**
 * The durable side of custody. Each method is one transaction with its audit entries inside; when
 * it returns, what it says is committed. A thrown error can mean either: ask again, never assume.
 */
export type RequestStore = {
  /** The operation with this CID, its bytes hashed again; null when we do not hold it. */
  findOperation(cid: string): Promise<PreviousOperation | null>
  /** `judge` is pure and may be given a fresh snapshot if the transaction must be tried again. */
  claim<T>(
    input: ClaimInput,
    judge: (snapshot: ClaimSnapshot) => Verdict<T>,
  ): Promise<ClaimOutcome<T>>
  /** Commits the outcome. null: the lease was lost, so this signature must never be released. */
  record(
    signature: VerifiedSignature,
    signed: { did: string; operation: SignedOperation; caller: string },
  ): Promise<StoredRequest | null>
  /** The key was certainly not used, or its signature is certainly worthless: lets the claim go. */
  fail(intent: CommittedIntent, reason: string): Promise<void>
  /** The key was certainly not used and may be soon: the request waits again, approvals and all. */
  postpone(intent: CommittedIntent, reason: string): Promise<void>
  /** Takes a verified log into care. */
  enroll(log: VerifiedLog, caller: string): Promise<'enrolled' | 'refreshed' | 'foreign'>
}
