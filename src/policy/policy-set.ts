import type { Curve } from '../plc/did-key.ts'
import type { QuorumNode } from './quorum.ts'
import type { Roster } from './roster.ts'
import type { ValueSet } from './value-sets.ts'

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
  /** All the places that hold it, the preferred one first (`uri` again); absent for a key with one. */
  readonly homes?: readonly string[]
  /** Made by the first `npm start`; refused in `env: prod`. */
  readonly development: boolean
  /** Its private half has been outside of custody: every start says so until it is replaced. */
  readonly exposed?: true
  /** Signs nothing any more; still known as ours where an identity lists it. */
  readonly retired?: true
}

/** Where a key's private half lives, the preferred place first. */
export function homesOf({ uri, homes }: KeyConfig): readonly string[] {
  return homes ?? (uri === null ? [] : [uri])
}

/** A program that may ask for signatures. */
export type CallerConfig = {
  readonly name: string
  /** The ids of the keys that it may ask them of. */
  readonly keys: readonly string[]
  /** The public address of the PDS that this caller is: an origin. Its accounts are found there. */
  readonly pds?: string
  /** The persons who run it: for what it asks, their approvals do not count. */
  readonly operatedBy?: readonly string[]
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

export const actClasses = ['policy', 'roster', 'ceremony', 'redaction', 'log-fork', 'thaw'] as const
/**
 * What is no operation but needs approval like one: other policies or officers, the use of a recovery
 * key in a ceremony, taking private data out of the record, going on with a forked log, and signing
 * again after a freeze.
 */
export type ActClass = (typeof actClasses)[number]

export const ruleClasses = [...operationClasses, ...actClasses] as const
export type RuleClass = OperationClass | ActClass

export const keyMatches = ['online', 'recovery', 'none'] as const
/** Which key would be used; `none` for acts that need no rotation key. */
export type KeyMatch = KeyClass | 'none'

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
  readonly op: readonly RuleClass[]
  readonly key: readonly KeyMatch[]
  readonly diff: 'any' | readonly ChangeKind[]
  /** Omitted: any caller. */
  readonly caller?: readonly string[]
  /** Names of value sets, at most one of each kind: all new values of that kind lie in it. */
  readonly to?: readonly string[]
}

/** At most `count` intents under this rule in any `seconds`. */
export type Limit = { readonly count: number; readonly seconds: number }

/** Whose agreement a rule asks for, and what goes with it. Times are in seconds. */
export type Requirement = {
  readonly rule: string
  readonly quorum: QuorumNode
  /** The counted approvals come from at least so many organisations. */
  readonly separate: { readonly orgs: number } | null
  /** From the request to the last approval that still counts. */
  readonly approveBy: number
  /** From the end of the delay to the last moment of signing. */
  readonly executeBy: number
  /** From the quorum to the first moment of signing; any one officer may cancel meanwhile. */
  readonly delay: number
  /** So many of the approvals come from officers' command lines. */
  readonly channel: { readonly cli: number } | null
  /** The intent stands under a cosigned checkpoint before the key is used. */
  readonly witness: boolean
  /** Every step under this rule is an alarm: a break-glass rule is loud. */
  readonly alarm: boolean
}

export type Rule = {
  readonly id: string
  readonly match: Match
  /** `none`: allowed without anybody's approval. */
  readonly require: 'none' | Requirement
  /** For all identities together, and for each one. */
  readonly limits: { readonly global: Limit | null; readonly perDid: Limit | null }
}

/** A deny entry matches if any of its listed tokens occurs; an omitted key means any. */
export type DenyRule = { readonly id: string; readonly match: Partial<Omit<Match, 'to'>> }

/** Who runs a ceremony. */
export type CeremonyRoles = {
  /** Whether whoever approved it may also operate it. */
  readonly approversMayOperate: boolean
  /** Persons with the roles operator and observer who must be there. */
  readonly operators: number
  readonly observers: number
}

/** Who cosigns checkpoints elsewhere. A quorum counts keys, never names. */
export type WitnessConfig = {
  readonly quorum: number
  readonly of: readonly { readonly url: string; readonly key: string }[]
}

/** Who is told of requests that wait and of alarms. The service's own secrets are not in it. */
export type NotifyConfig = {
  readonly webhooks: readonly { readonly id: string; readonly url: string }[]
  /** The sender of mails to officers; null: no mail. */
  readonly mail: { readonly from: string } | null
}

/** Everything that decides what may be signed, as read from `policies/` and canonicalised. */
export type PolicySet = {
  readonly env: 'dev' | 'prod'
  readonly keys: readonly KeyConfig[]
  readonly callers: readonly CallerConfig[]
  readonly rules: readonly Rule[]
  readonly denies: readonly DenyRule[]
  /** Every group, whether a rule asks for it or it is part of another one. */
  readonly groups: readonly (QuorumNode & { readonly kind: 'group' })[]
  readonly valueSets: readonly ValueSet[]
  /** The fewest persons whose agreement each class must need; null: a set without any quorum. */
  readonly minimum: Readonly<Record<RuleClass, number>> | null
  /** How long it takes to publish a recovery of every identity in care, in seconds, as measured. */
  readonly publication: number | null
  readonly ceremony: CeremonyRoles | null
  readonly notify: NotifyConfig | null
  /** Absent: nobody is asked to cosign. */
  readonly witnesses?: WitnessConfig
  /** SHA-256 of the canonical DAG-CBOR of all of the above. Every decision names it. */
  readonly digest: Uint8Array
  /** The officers as of these files, with a digest of their own; null where there is no roster.yaml. */
  readonly roster: Roster | null
}

/** The pinned did:keys of one class. */
export function pinnedKeys(policies: Pick<PolicySet, 'keys'>, keyClass: KeyClass): string[] {
  return policies.keys.filter((key) => key.class === keyClass).map((key) => key.did)
}
