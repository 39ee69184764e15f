import type { Curve } from '../../plc/did-key.ts'
import type { CkrClass } from './ckr.ts'
import type { KeyMatch, TokenMatch } from './uri.ts'

/** What a key on the token must be. `ref` stands for it in messages. */
export type KeySpec = {
  readonly ref: number
  readonly match: KeyMatch
  readonly curve: Curve
  /** The pinned public key: 65 bytes, uncompressed. */
  readonly point: Uint8Array
}

/** `digest` is 32 bytes: CKM_ECDSA signs any length, so the length is checked on both sides. */
export type SignItem = { readonly id: number; readonly ref: number; readonly digest: Uint8Array }

export const DIGEST_BYTES = 32

/** Order: open, login when asked, then anything. The PIN travels here and nowhere else. */
export type ToChild =
  | {
      readonly kind: 'open'
      readonly modulePath: string
      readonly token: TokenMatch
      readonly sessions: number
      readonly keys: readonly KeySpec[]
    }
  | { readonly kind: 'login'; readonly pin: Uint8Array }
  | { readonly kind: 'keys'; readonly keys: readonly KeySpec[] }
  | { readonly kind: 'sign'; readonly items: readonly SignItem[] }
  /** Nobody waits for these any more: those not begun yet are not to be. */
  | { readonly kind: 'cancel'; readonly ids: readonly number[] }
  /** Asks sessions and keys whether they could be used. Uses no key. */
  | { readonly kind: 'check' }
  /** Finish what has begun, finalise the module, leave. */
  | { readonly kind: 'close' }

/** What the token's flags say about the PIN, before it is tried. */
export type PinState = 'ok' | 'final-try' | 'locked'

/** Where something failed: a PKCS#11 function or a step of ours, and its return value if it had one. */
export type Failure = {
  readonly step: string
  readonly ckr: number | null
  readonly kind: CkrClass
  readonly message: string
}

export type KeyFault =
  | 'missing'
  | 'ambiguous'
  /** Another public key than the pinned one. */
  | 'mismatch'
  /** No public key object, and none on the private one. */
  | 'no-point'
  /** Not an EC key of the curve that is configured. */
  | 'curve'
  | 'not-sign'
  | 'not-sensitive'
  | 'extractable'
  | 'always-authenticate'

export type KeyState = {
  readonly ref: number
  readonly fault: KeyFault | null
  /** For `mismatch`: the public key that is there. */
  readonly point: Uint8Array | null
}

export type Done = { readonly id: number } & (
  | { readonly signature: Uint8Array }
  | { readonly failure: Failure; readonly used: 'no' | 'unknown' }
)

export type FromChild =
  /** The token is there; `login` follows if the parent finds no latch. */
  | {
      readonly kind: 'found'
      readonly serial: string
      readonly label: string
      readonly needsLogin: boolean
      readonly pin: PinState
    }
  /** The token logged us out. */
  | { readonly kind: 'login-needed'; readonly pin: PinState }
  /** `tried` false: C_Login was not called. */
  | { readonly kind: 'login-answer'; readonly failure: Failure | null; readonly tried: boolean }
  | { readonly kind: 'ready'; readonly sessions: number }
  | { readonly kind: 'keys'; readonly states: readonly KeyState[] }
  /**
   * `begun` is written to the pipe before any of these keys is used: what is in no such message has
   * certainly not been used when the child dies.
   */
  | { readonly kind: 'progress'; readonly begun: readonly number[]; readonly done: readonly Done[] }
  | { readonly kind: 'checked'; readonly sessions: number }
  /** Nothing more will come; the parent ends the child. */
  | { readonly kind: 'failed'; readonly failure: Failure }

/** A key fault in words, for the operator. */
export function describeKeyFault(fault: KeyFault): string {
  switch (fault) {
    case 'missing':
      return 'no private key on the token has that label and id'
    case 'ambiguous':
      return 'more than one key on the token has that label and id; give both, or rename one'
    case 'mismatch':
      return 'the token holds another public key than the pinned one'
    case 'no-point':
      return 'the token shows no public key beside the private one; store its public key object'
    case 'curve':
      return 'the key is not an EC key of the configured curve'
    case 'not-sign':
      return 'CKA_SIGN is not true: the key may not sign'
    case 'not-sensitive':
      return 'CKA_SENSITIVE is not true: the key can be read out of the token'
    case 'extractable':
      return 'CKA_EXTRACTABLE is not false: the key can be taken out of the token'
    case 'always-authenticate':
      return 'CKA_ALWAYS_AUTHENTICATE is true: the key wants its PIN for each signature'
  }
}
