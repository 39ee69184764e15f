import type { ForeignOperation, NullifiedOperation } from './compare.ts'
import type { LimitUse } from '../policy/evaluate.ts'

export type AlarmedStep =
  | { readonly kind: 'asked'; readonly by: string }
  | { readonly kind: 'approved' | 'rejected'; readonly by: string }
  /** The key is about to be used. */
  | { readonly kind: 'signing' }

/** What operators are told as it happens. The record itself is in the audit entries. */
export type CustodyEvent =
  | { readonly kind: 'limit-alarm'; readonly requestId: string; readonly limit: LimitUse }
  /** A step under a break-glass rule: `alarm: true` in the policy. */
  | {
      readonly kind: 'rule-alarm'
      readonly requestId: string
      readonly rules: readonly string[]
      readonly step: AlarmedStep
    }
  | {
      readonly kind: 'signing-failed'
      readonly requestId: string
      readonly key: string
      readonly error: unknown
    }
  /** Throttled, or away: the request waits, and its caller asks again. */
  | {
      readonly kind: 'key-unavailable'
      readonly requestId: string
      readonly key: string
      readonly error: unknown
    }
  | { readonly kind: 'directory-unreadable'; readonly did: string; readonly error: unknown }
  /** An account was found by itself: of the caller's, or listed by the caller's PDS. */
  | {
      readonly kind: 'identity-found'
      readonly did: string
      readonly caller: string
      readonly listed: boolean
    }
  | { readonly kind: 'accounts-unlisted'; readonly caller: string; readonly error: unknown }
  /** An operation of an identity in care that has no outcome here. */
  | { readonly kind: 'operation-foreign'; readonly operation: ForeignOperation }
  /** One that was signed here is not in force any more. */
  | { readonly kind: 'operation-nullified'; readonly operation: NullifiedOperation }
  | { readonly kind: 'search-budget-spent'; readonly caller: string }
  /** Somebody has changed a row of the database; the error names it. */
  | { readonly kind: 'row-tampered'; readonly error: Error }
  /** A statement on record that proves nothing: forged, or of officers before these. */
  | { readonly kind: 'approval-unverifiable'; readonly error: unknown }
  | { readonly kind: 'clocks-apart'; readonly milliseconds: number }
