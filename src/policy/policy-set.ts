import type { Curve } from '../plc/did-key.ts'

/** `online`: the service signs with it. `recovery`: only its public half is known here. */
export type KeyClass = 'online' | 'recovery'

/** A key that policies name. `did` is the pinned public key every signature is verified against. */
export type KeyConfig = {
  readonly id: string
  readonly class: KeyClass
  readonly curve: Curve
  readonly did: string
  /** Where the private half lives (`file:NAME`); null for a recovery key. */
  readonly uri: string | null
  /** Made by the first `npm start`; refused in `env: prod`. */
  readonly development: boolean
  /** Its private half has been outside of custody: every start says so until it is replaced. */
  readonly exposed?: true
}

/** A program that may ask for signatures. */
export type CallerConfig = {
  readonly name: string
  /** The ids of the keys that it may ask them of. */
  readonly keys: readonly string[]
  /** The public address of the PDS that this caller is: an origin. Its accounts are found there. */
  readonly pds?: string
}

export const operationClasses = [
  'genesis',
  'update',
  'nullify',
  'tombstone',
  'tombstone.fresh',
  'departure',
] as const
/** What an operation does to an identity. Each operation has exactly one class. */
export type OperationClass = (typeof operationClasses)[number]

export const changeKinds = [
  'alsoKnownAs',
  'verificationMethods.atproto',
  'verificationMethods.other',
  'services.atproto_pds',
  'services.other',
  'rotationKeys.add',
  'rotationKeys.remove.online',
  'rotationKeys.remove.recovery',
  'rotationKeys.replace.recovery',
  'rotationKeys.remove.foreign',
  'rotationKeys.reorder',
  'none',
] as const
/** The closed vocabulary in which policies speak of what an operation changes. */
export type ChangeKind = (typeof changeKinds)[number]

export type Match = {
  readonly op: readonly OperationClass[]
  readonly key: readonly KeyClass[]
  readonly diff: 'any' | readonly ChangeKind[]
  /** Omitted: any caller. */
  readonly caller?: readonly string[]
}

/** At most `count` intents under this rule, for all identities together, in any `seconds`. */
export type Limit = { readonly count: number; readonly seconds: number }

export type Rule = {
  readonly id: string
  readonly match: Match
  /** The quorum that must approve. `none` is the only one until officers exist. */
  readonly require: 'none'
  readonly limits: { readonly global: Limit | null }
}

/** A deny entry matches if any of its listed tokens occurs; an omitted key means any. */
export type DenyRule = { readonly id: string; readonly match: Partial<Match> }

/** Everything that decides what may be signed, as read from `policies/` and canonicalised. */
export type PolicySet = {
  readonly env: 'dev' | 'prod'
  readonly keys: readonly KeyConfig[]
  readonly callers: readonly CallerConfig[]
  readonly rules: readonly Rule[]
  readonly denies: readonly DenyRule[]
  /** SHA-256 of the canonical DAG-CBOR of all of the above. Every decision names it. */
  readonly digest: Uint8Array
}

/** The pinned did:keys of one class. */
export function pinnedKeys(policies: Pick<PolicySet, 'keys'>, keyClass: KeyClass): string[] {
  return policies.keys.filter((key) => key.class === keyClass).map((key) => key.did)
}
