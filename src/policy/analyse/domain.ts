import type { Cell } from '../cell.ts'
import { changeKinds } from '../policy-set.ts'
import type { ChangeKind, KeyMatch, PolicySet, RuleClass } from '../policy-set.ts'
import type { ValueSet } from '../value-sets.ts'

/** A cell with all the callers that it stands for (none: no program asks), and what lies outside. */
export type DomainCell = Cell & {
  readonly callers: readonly string[]
  readonly outside: readonly string[]
}

/** More value sets in use than this are not walked through, and nothing is proven then. */
const MAX_VALUE_SETS = 8

/**
 * What can be asked for at all. Missing are what the rules that always hold deny in any case: a
 * tombstone that is not fresh, a fork by an online key, and what a ceremony never makes.
 */
const possible: Readonly<Record<KeyMatch, readonly RuleClass[]>> = {
  online: ['genesis', 'update', 'tombstone.fresh', 'departure'],
  recovery: ['update', 'nullify', 'ceremony'],
  none: ['policy', 'roster', 'redaction', 'log-fork', 'thaw'],
}

type Sets = readonly Pick<PolicySet, 'rules' | 'denies' | 'callers' | 'valueSets'>[]

/**
 * Every question that could be put to these policies, once for each way in which any of their rules
 * could tell it from others: change kinds, callers and value sets that always stand in the same lists
 * go together. What holds for these cells holds for all operations.
 * @throws RangeError when there are too many value sets to walk through
 */
export function domainOf(...sets: Sets): DomainCell[] {
  const cells: DomainCell[] = []
  for (const [key, ops] of Object.entries(possible) as [KeyMatch, RuleClass[]][]) {
    for (const op of ops) {
      for (const callers of key === 'online' ? callerClasses(sets) : [[]]) {
        for (const diff of diffsOf(op, sets)) {
          for (const outside of outsidesOf({ op, key, diff }, sets)) {
            cells.push(cellOf({ op, key, callers, diff, outside }))
          }
        }
      }
    }
  }
  return cells
}

function cellOf(parts: {
  op: RuleClass
  key: KeyMatch
  callers: readonly string[]
  diff: readonly ChangeKind[]
  outside: readonly string[]
}): DomainCell {
  const { key, outside, callers } = parts
  // What a recovery key signs is judged without value sets: see `judgeActs`.
  const inside = (id: string) => key === 'online' && !outside.includes(id)
  return { ...parts, caller: callers[0] ?? null, inside }
}

const everyMatch = (sets: Sets) =>
  sets.flatMap(({ rules, denies }) => [...rules, ...denies].map(({ match }) => match))

/** Callers that stand in the same lists and are run by the same persons. */
function callerClasses(sets: Sets): string[][] {
  const names = [...new Set(sets.flatMap(({ callers }) => callers.map(({ name }) => name)))]
  const signature = (name: string) => [
    ...everyMatch(sets).map(({ caller }) => caller?.includes(name) ?? null),
    ...sets.map(({ callers }) => callers.find((caller) => caller.name === name)?.operatedBy ?? ''),
    ...sets.map(({ callers }) => callers.some((caller) => caller.name === name)),
  ]
  const classes = together(names, signature)
  return classes.length === 0 ? [[]] : classes
}

function diffsOf(op: RuleClass, sets: Sets): ChangeKind[][] {
  if (op === 'departure') return departures(sets)
  if (op !== 'update' && op !== 'nullify') return [[]]
  const classes = kindClasses(
    changeKinds.filter((kind) => kind !== 'none'),
    sets,
  )
  return [['none'], ...subsets(classes).filter((diff) => diff.length > 0)]
}

/** A departure changes endpoint and `atproto` key, and takes at least one key of ours out. */
function departures(sets: Sets): ChangeKind[][] {
  const always: ChangeKind[] = ['services.atproto_pds', 'verificationMethods.atproto']
  const ours: ChangeKind[] = ['rotationKeys.remove.online', 'rotationKeys.remove.recovery']
  const never: ChangeKind[] = ['none', 'rotationKeys.replace.recovery']
  const free = changeKinds.filter((kind) => ![...always, ...ours, ...never].includes(kind))
  const leaving = [[ours[0]!], [ours[1]!], ours]
  return subsets(kindClasses(free, sets)).flatMap((others) =>
    leaving.map((gone) => [...always, ...gone, ...others]),
  )
}

function kindClasses(kinds: readonly ChangeKind[], sets: Sets): ChangeKind[][] {
  const usesSets = usedValueSets(sets).length > 0
  return together(kinds, (kind) => [
    ...everyMatch(sets).map(
      ({ diff }) => diff === undefined || diff === 'any' || diff.includes(kind),
    ),
    usesSets ? valueKindOf(kind) : '',
  ])
}

/** Which value sets could lie inside or outside, when these changes are made. */
function outsidesOf(
  { op, key, diff }: { op: RuleClass; key: KeyMatch; diff: readonly ChangeKind[] },
  sets: Sets,
): string[][] {
  if (key !== 'online') return [[]]
  const kinds = new Set(diff.map(valueKindOf))
  const open = usedValueSets(sets).filter((set) => op === 'genesis' || kinds.has(set.kind))
  if (open.length > MAX_VALUE_SETS) {
    throw new RangeError(`more than ${MAX_VALUE_SETS} value sets are used by rules`)
  }
  return subsets(open.map(({ id }) => [id]))
}

function usedValueSets(sets: Sets): ValueSet[] {
  const used = new Set(everyMatch(sets).flatMap((match) => ('to' in match ? (match.to ?? []) : [])))
  const known = sets.flatMap(({ valueSets }) => valueSets).filter(({ id }) => used.has(id))
  return [...new Map(known.map((set) => [`${set.kind} ${set.id}`, set])).values()]
}

/** Of which kind the new values of a change are. */
function valueKindOf(kind: ChangeKind): ValueSet['kind'] | 'none' {
  if (kind === 'alsoKnownAs') return 'domains'
  if (kind.startsWith('services.')) return 'endpoints'
  const bringsKeys =
    kind.startsWith('verificationMethods.') ||
    kind === 'rotationKeys.add' ||
    kind === 'rotationKeys.replace.recovery'
  return bringsKeys ? 'keys' : 'none'
}

function together<T>(items: readonly T[], signature: (item: T) => unknown[]): T[][] {
  return [...Map.groupBy(items, (item) => JSON.stringify(signature(item))).values()]
}

/** The unions of any of these lists, the empty one first. */
function subsets<T>(classes: readonly (readonly T[])[]): T[][] {
  return classes.reduce<T[][]>(
    (found, members) => [...found, ...found.map((chosen) => [...chosen, ...members])],
    [[]],
  )
}
