import { type Change, diffOperation } from './diff.ts'
import { requestDigest, signingBytes } from './encode.ts'
import {
  type OperationData,
  operationData,
  type Service,
  type UnsignedOperation,
} from './operation.ts'
import { quoteText } from './text.ts'

/**
 * The one text by which a person judges an operation. Total: other bytes, or another state before them,
 * give another text, because both states stand in it whole, every foreign word quoted and escaped. Only
 * printable ASCII and line feeds; lines end with a line feed.
 * @param input.previous what the operation that `prev` names made true; null for a genesis
 */
export function renderOperation(input: {
  operation: UnsignedOperation
  previous: OperationData | null
}): string {
  const { operation, previous } = input
  const changes = diffOperation(previous, operation)
  const digest = Buffer.from(requestDigest(signingBytes(operation))).toString('hex')
  const lines = [
    `operation: ${titleOf(operation)}`,
    `prev: ${operation.prev === null ? 'none' : quoteText(operation.prev)}`,
    `request digest: ${digest}`,
    `changes: ${changes.length === 0 ? 'none' : changes.length}`,
    ...indent(changes.map(renderChange)),
    ...renderData('before', previous),
    ...renderData('after', operationData(operation)),
  ]
  return lines.map((line) => `${line}\n`).join('')
}

function titleOf(operation: UnsignedOperation): string {
  if (operation.type === 'plc_tombstone') return 'tombstone, which ends the identity'
  return operation.prev === null ? 'genesis, which makes a new identity' : 'update'
}

function renderChange(change: Change): string {
  switch (change.kind) {
    case 'rotationKeys.add':
      return `add rotation key at ${change.index}: ${quoteText(change.value)}`
    case 'rotationKeys.remove':
      return `REMOVE rotation key at ${change.index}: ${quoteText(change.value)}`
    case 'rotationKeys.reorder':
      return `REORDER rotation keys: ${renderOrder(change)}`
    case 'alsoKnownAs.add':
      return `add name at ${change.index}: ${quoteText(change.value)}`
    case 'alsoKnownAs.remove':
      return `remove name at ${change.index}: ${quoteText(change.value)}`
    case 'alsoKnownAs.reorder':
      return `reorder names: ${renderOrder(change)}`
    case 'verificationMethod.add':
      return `add verification method ${quoteText(change.id)}: ${quoteText(change.key)}`
    case 'verificationMethod.remove':
      return `remove verification method ${quoteText(change.id)}: ${quoteText(change.key)}`
    case 'verificationMethod.change':
      return `change verification method ${quoteText(change.id)}: ${quoteText(change.before)} to ${quoteText(change.after)}`
    case 'service.add':
      return `add service ${quoteText(change.id)}: ${renderService(change.service)}`
    case 'service.remove':
      return `remove service ${quoteText(change.id)}: ${renderService(change.service)}`
    case 'service.change':
      return `change service ${quoteText(change.id)}: ${renderService(change.before)} to ${renderService(change.after)}`
    case 'tombstone':
      return 'END the identity: all its data is cleared'
  }
}

function renderOrder({ before, after }: { before: string[]; after: string[] }): string {
  return `${before.map(quoteText).join(', ')} to ${after.map(quoteText).join(', ')}`
}

function renderData(title: string, data: OperationData | null): string[] {
  if (data === null) return [`${title}: nothing`]
  return [
    `${title}:`,
    ...indent([
      `rotation keys, the one of most authority first: ${data.rotationKeys.length}`,
      ...indent(data.rotationKeys.map(renderItem)),
      ...renderMap('verification methods', data.verificationMethods, quoteText),
      `names: ${data.alsoKnownAs.length}`,
      ...indent(data.alsoKnownAs.map(renderItem)),
      ...renderMap('services', data.services, renderService),
    ]),
  ]
}

function renderItem(value: string, index: number): string {
  return `${index} ${quoteText(value)}`
}

/** Sorted, since the encoding keeps no order of a map: the same bytes give the same text. */
function renderMap<T>(title: string, map: Record<string, T>, render: (item: T) => string) {
  const entries = Object.keys(map)
    .sort()
    .map((id) => `${quoteText(id)}: ${render(map[id]!)}`)
  return [`${title}: ${entries.length}`, ...indent(entries)]
}

function renderService({ type, endpoint }: Service): string {
  return `type ${quoteText(type)}, endpoint ${quoteText(endpoint)}`
}

function indent(lines: readonly string[]): string[] {
  return lines.map((line) => `  ${line}`)
}
