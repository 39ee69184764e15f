import type { Authorized } from '../approval/authorize.ts'
import type { Proof } from '../plc/proof.ts'

/**
 * An intent that is durable: a crash from here on leaves a record of what the key was about to do.
 * `lease` is a random token; only its holder may record an outcome.
 */
export type CommittedIntent = Proof<
  { readonly authorized: Authorized; readonly lease: string },
  'CommittedIntent'
>

/** A signature that verified against the pinned did:key, S normalised; 64 bytes r‖s. */
export type VerifiedSignature = Proof<
  { readonly intent: CommittedIntent; readonly compact: Uint8Array } & Omit<KeyUse, 'signature'>,
  'VerifiedSignature'
>

/** What a backend answered. Worth nothing before it is verified. */
export type RawSignature = Uint8Array

/** One use of a key, and what an auditor needs to find it in the provider's own records. */
export type KeyUse = {
  readonly signature: RawSignature
  /** Which home of a key that has several; null where there is one. */
  readonly home: string | null
  /** The provider's id of the call, as AWS CloudTrail has it; null where there is none. */
  readonly requestId: string | null
}

/**
 * A key backend. Gives at most one signature per call (in each of its homes, where there are several),
 * over the intent's own bytes and never outside a committed one. Where an answer was lost on its way,
 * the same call may ask again for the same bytes. After an abort the key may have been used; no signature was
 * released.
 */
export type Signer = {
  sign(intent: CommittedIntent, signal: AbortSignal): Promise<KeyUse>
  /** Whether the key could be used now. Never uses it. @throws SignerError */
  check(signal: AbortSignal): Promise<void>
  close(): Promise<void>
}

export type SignerErrorCode =
  /** No answer by the deadline: whether the key was used is unknown. */
  | 'timeout'
  /** Throttled, busy or away: the key was certainly not used, and the caller asks again. */
  | 'unavailable'
  /** What came back does not verify against the pinned key. */
  | 'signature-invalid'
  /** The key is not the one that is pinned, or cannot be opened. */
  | 'key-unusable'

export class SignerError extends Error {
  override readonly name = 'SignerError'
  readonly code: SignerErrorCode

  constructor(code: SignerErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
