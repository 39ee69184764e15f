import { operationData } from '../plc/operation.ts'
import type { OperationData, SignedOperation, UnsignedOperation } from '../plc/operation.ts'
import { pinnedKeys } from './policy-set.ts'
import type { ChangeKind, KeyConfig, OperationClass, PolicySet } from './policy-set.ts'

/** An undo of a failed sign-up is ordinary only while the genesis is this young, in milliseconds. */
export const FRESH_GENESIS_MS = 300_000

/** The operation that `prev` names, as we hold it: believed because its recomputed CID is `prev`. */
export type PreviousOperation = {
  readonly did: string
  readonly cid: string
  readonly operation: SignedOperation
  /** The caller to whom the DID belongs. */
  readonly owner: string
  readonly nullified: boolean
  /** When our signature was recorded, or the directory's `createdAt` for an enrolled operation. */
  readonly recordedAt: Date
  /** Whether its signature was made here. */
  readonly ours: boolean
}

/** What is asked for. Nothing in it changes while it is judged. */
export type Subject = {
  readonly caller: string
  readonly key: KeyConfig
  readonly operation: UnsignedOperation
  /** null for a genesis, and where `prev` names nothing that we hold. */
  readonly previous: PreviousOperation | null
}

/** Operations of one identity that count against the directory's budget, by window. */
export type OperationCounts = { readonly hour: number; readonly day: number; readonly week: number }

/** What is true at the moment of judging. Read under the lock that the claim holds. */
export type Circumstances = {
  /** Postgres's clock: one for all instances. */
  readonly now: Date
  /** The head in a verified log read from the directory during this call; null: not read. */
  readonly observedHead: string | null
  readonly operationCounts: OperationCounts
  /** Intents under each rule that has a global limit, within that limit's window. */
  readonly ruleCounts: Readonly<Record<string, number>>
  /** The same for this identity alone, for rules that have a limit for each. */
  readonly didRuleCounts: Readonly<Record<string, number>>
}

/** All that invariants and policy rules see. */
export type Facts = Subject & {
  readonly circumstances: Circumstances
  readonly policies: PolicySet
  /** null for a genesis and for an unknown `prev`. */
  readonly before: OperationData | null
  /** null for a tombstone. */
  readonly after: OperationData | null
  readonly operationClass: OperationClass
  readonly changeKinds: readonly ChangeKind[]
}

export function deriveFacts(
  subject: Subject,
  circumstances: Circumstances,
  policies: PolicySet,
): Facts {
  const before = subject.previous === null ? null : operationData(subject.previous.operation)
  const after = operationData(subject.operation)
  return {
    ...subject,
    circumstances,
    policies,
    before,
    after,
    operationClass: classify(subject, circumstances, policies),
    changeKinds: changeKindsOf(before, after, policies),
  }
}

function classify(
  subject: Subject,
  { now, observedHead }: Circumstances,
  policies: PolicySet,
): OperationClass {
  const { operation, previous } = subject
  if (operation.prev === null) return 'genesis'
  if (operation.type === 'plc_tombstone') {
    return isFreshGenesis(subject, now) ? 'tombstone.fresh' : 'tombstone'
  }
  if (observedHead !== null && observedHead !== operation.prev) return 'nullify'
  return isDeparture(previous, operationData(operation), policies) ? 'departure' : 'update'
}

/** The class as far as it depends on content alone; used to know which limits to count. */
export function contentClass(subject: Subject, policies: PolicySet): OperationClass {
  const { operation, previous } = subject
  if (operation.prev === null) return 'genesis'
  if (operation.type === 'plc_tombstone') return 'tombstone'
  return isDeparture(previous, operationData(operation), policies) ? 'departure' : 'update'
}

function isFreshGenesis({ previous, caller }: Subject, now: Date): boolean {
  if (previous === null || previous.operation.prev !== null) return false
  const age = now.getTime() - previous.recordedAt.getTime()
  return previous.ours && previous.owner === caller && age <= FRESH_GENESIS_MS
}

/** A user moving to another PDS: endpoint and `atproto` key change, and every key of ours leaves. */
function isDeparture(
  previous: PreviousOperation | null,
  after: OperationData | null,
  policies: PolicySet,
): boolean {
  const before = previous === null ? null : operationData(previous.operation)
  if (before === null || after === null) return false
  const ours = new Set(policies.keys.map((key) => key.did))
  const endpoint = after.services.atproto_pds?.endpoint
  const atproto = after.verificationMethods.atproto
  return (
    endpoint !== undefined &&
    endpoint !== before.services.atproto_pds?.endpoint &&
    atproto !== undefined &&
    atproto !== before.verificationMethods.atproto &&
    before.rotationKeys.some((key) => ours.has(key)) &&
    !after.rotationKeys.some((key) => ours.has(key))
  )
}

function changeKindsOf(
  before: OperationData | null,
  after: OperationData | null,
  policies: PolicySet,
): ChangeKind[] {
  if (before === null || after === null) return []
  const kinds: ChangeKind[] = [
    ...(sameList(before.alsoKnownAs, after.alsoKnownAs) ? [] : ['alsoKnownAs' as const]),
    ...mapKinds(before.verificationMethods, after.verificationMethods, {
      named: 'atproto',
      whenNamed: 'verificationMethods.atproto',
      otherwise: 'verificationMethods.other',
    }),
    ...mapKinds(before.services, after.services, {
      named: 'atproto_pds',
      whenNamed: 'services.atproto_pds',
      otherwise: 'services.other',
    }),
    ...rotationKinds(before.rotationKeys, after.rotationKeys, policies),
  ]
  return kinds.length === 0 ? ['none'] : kinds
}

function mapKinds<T>(
  before: Readonly<Record<string, T>>,
  after: Readonly<Record<string, T>>,
  kinds: { named: string; whenNamed: ChangeKind; otherwise: ChangeKind },
): ChangeKind[] {
  const ids = new Set([...Object.keys(before), ...Object.keys(after)])
  const changed = [...ids].filter((id) => !sameEntry(ownEntry(before, id), ownEntry(after, id)))
  return [
    ...(changed.includes(kinds.named) ? [kinds.whenNamed] : []),
    ...(changed.some((id) => id !== kinds.named) ? [kinds.otherwise] : []),
  ]
}

/** Ids are a stranger's words: `constructor` must not find what the prototype has. */
function ownEntry<T>(map: Readonly<Record<string, T>>, id: string): T | undefined {
  return Object.hasOwn(map, id) ? map[id] : undefined
}

function sameEntry(left: unknown, right: unknown): boolean {
  if (typeof left !== 'object' || typeof right !== 'object') return left === right
  const a = left as { type?: unknown; endpoint?: unknown }
  const b = right as { type?: unknown; endpoint?: unknown }
  return a.type === b.type && a.endpoint === b.endpoint
}

function rotationKinds(
  before: readonly string[],
  after: readonly string[],
  policies: PolicySet,
): ChangeKind[] {
  const online = new Set(pinnedKeys(policies, 'online'))
  const recovery = new Set(pinnedKeys(policies, 'recovery'))
  const added = after.filter((key) => !before.includes(key))
  const removed = before.filter((key) => !after.includes(key))
  const replaced = removed.filter((key) => {
    const successor = after[before.indexOf(key)]
    return (
      recovery.has(key) &&
      successor !== undefined &&
      recovery.has(successor) &&
      added.includes(successor)
    )
  })
  const successors = new Set(replaced.map((key) => after[before.indexOf(key)]))
  const gone = removed.filter((key) => !replaced.includes(key))
  const kept = (list: readonly string[]) =>
    list.filter((key) => before.includes(key) && after.includes(key))
  const when = (holds: boolean, kind: ChangeKind) => (holds ? [kind] : [])
  return [
    ...when(
      added.some((key) => !successors.has(key)),
      'rotationKeys.add',
    ),
    ...when(
      gone.some((key) => online.has(key)),
      'rotationKeys.remove.online',
    ),
    ...when(
      gone.some((key) => recovery.has(key)),
      'rotationKeys.remove.recovery',
    ),
    ...when(replaced.length > 0, 'rotationKeys.replace.recovery'),
    ...when(
      gone.some((key) => !online.has(key) && !recovery.has(key)),
      'rotationKeys.remove.foreign',
    ),
    ...when(!sameList(kept(before), kept(after)), 'rotationKeys.reorder'),
  ]
}

function sameList(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((value, index) => value === right[index])
}
