import {
  type OperationData,
  operationData,
  type Service,
  type UnsignedOperation,
} from './operation.ts'

type ListName = 'rotationKeys' | 'alsoKnownAs'

/**
 * What an operation changes. An index of `add` is its place in the list after, of `remove` in the list
 * before; `reorder` holds what both lists have, in the order of each. Together with the data before, the
 * changes give the data after: nothing is left out.
 */
export type Change =
  | { kind: `${ListName}.add`; index: number; value: string }
  | { kind: `${ListName}.remove`; index: number; value: string }
  | { kind: `${ListName}.reorder`; before: string[]; after: string[] }
  | { kind: 'verificationMethod.add' | 'verificationMethod.remove'; id: string; key: string }
  | { kind: 'verificationMethod.change'; id: string; before: string; after: string }
  | { kind: 'service.add' | 'service.remove'; id: string; service: Service }
  | { kind: 'service.change'; id: string; before: Service; after: Service }
  | { kind: 'tombstone' }

const NOTHING: OperationData = {
  rotationKeys: [],
  verificationMethods: {},
  alsoKnownAs: [],
  services: {},
}

/** @param before null for a genesis, which then adds everything */
export function diffOperation(before: OperationData | null, after: UnsignedOperation): Change[] {
  const data = operationData(after)
  if (data === null) return [{ kind: 'tombstone' }]
  const old = before ?? NOTHING
  return [
    ...diffList('rotationKeys', old.rotationKeys, data.rotationKeys),
    ...diffVerificationMethods(old, data),
    ...diffList('alsoKnownAs', old.alsoKnownAs, data.alsoKnownAs),
    ...diffServices(old, data),
  ]
}

// Old heads may list a key twice, so the lists are compared as multisets.
function diffList(name: ListName, before: readonly string[], after: readonly string[]): Change[] {
  const old = splitList(before, after)
  const now = splitList(after, before)
  const removed = old.rest.map((item): Change => ({ kind: `${name}.remove`, ...item }))
  const added = now.rest.map((item): Change => ({ kind: `${name}.add`, ...item }))
  const sameOrder = old.kept.every((value, index) => value === now.kept[index])
  if (sameOrder) return [...removed, ...added]
  return [...removed, ...added, { kind: `${name}.reorder`, before: old.kept, after: now.kept }]
}

function splitList(list: readonly string[], other: readonly string[]) {
  const available = new Map<string, number>()
  for (const value of other) available.set(value, (available.get(value) ?? 0) + 1)
  const kept: string[] = []
  const rest: { index: number; value: string }[] = []
  for (const [index, value] of list.entries()) {
    const count = available.get(value) ?? 0
    available.set(value, count - 1)
    if (count > 0) kept.push(value)
    else rest.push({ index, value })
  }
  return { kept, rest }
}

function diffVerificationMethods(old: OperationData, data: OperationData): Change[] {
  const [before, after] = [old.verificationMethods, data.verificationMethods]
  return idsOf(before, after).flatMap((id): Change[] => {
    const [was, is] = [own(before, id), own(after, id)]
    if (was === is) return []
    if (was === undefined) return [{ kind: 'verificationMethod.add', id, key: is! }]
    if (is === undefined) return [{ kind: 'verificationMethod.remove', id, key: was }]
    return [{ kind: 'verificationMethod.change', id, before: was, after: is }]
  })
}

function diffServices(old: OperationData, data: OperationData): Change[] {
  return idsOf(old.services, data.services).flatMap((id): Change[] => {
    const [was, is] = [own(old.services, id), own(data.services, id)]
    if (was === undefined) return [{ kind: 'service.add', id, service: is! }]
    if (is === undefined) return [{ kind: 'service.remove', id, service: was }]
    if (was.type === is.type && was.endpoint === is.endpoint) return []
    return [{ kind: 'service.change', id, before: was, after: is }]
  })
}

/** In one order whatever the order of the maps, which their encoding does not keep. */
function idsOf(before: object, after: object): string[] {
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].sort()
}

function own<T>(map: Record<string, T>, id: string): T | undefined {
  return Object.hasOwn(map, id) ? map[id] : undefined
}
