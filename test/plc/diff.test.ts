import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Change, diffOperation } from '../../src/plc/diff.ts'
import { type OperationData, operationData } from '../../src/plc/operation.ts'
import { data as anyData } from './arbitrary.ts'
import { plcOperation } from './build-log.ts'

const before = plcOperation({
  rotationKeys: ['recovery', 'server'],
  verificationMethods: { atproto: 'old key' },
})
const service = before.services.atproto_pds!

describe('changes', () => {
  test.each<{ what: string; fields: Partial<OperationData>; changes: Change[] }>([
    { what: 'nothing', fields: {}, changes: [] },
    {
      what: 'a key added on top',
      fields: { rotationKeys: ['new', 'recovery', 'server'] },
      changes: [{ kind: 'rotationKeys.add', index: 0, value: 'new' }],
    },
    {
      what: 'a key removed',
      fields: { rotationKeys: ['server'] },
      changes: [{ kind: 'rotationKeys.remove', index: 0, value: 'recovery' }],
    },
    {
      what: 'two keys exchanged',
      fields: { rotationKeys: ['server', 'recovery'] },
      changes: [
        {
          kind: 'rotationKeys.reorder',
          before: ['recovery', 'server'],
          after: ['server', 'recovery'],
        },
      ],
    },
    {
      what: 'a key replaced',
      fields: { rotationKeys: ['recovery', 'new'] },
      changes: [
        { kind: 'rotationKeys.remove', index: 1, value: 'server' },
        { kind: 'rotationKeys.add', index: 1, value: 'new' },
      ],
    },
    {
      what: 'another name',
      fields: { alsoKnownAs: ['at://bob.example.com'] },
      changes: [
        { kind: 'alsoKnownAs.remove', index: 0, value: 'at://alice.example.com' },
        { kind: 'alsoKnownAs.add', index: 0, value: 'at://bob.example.com' },
      ],
    },
    {
      what: 'verification methods',
      fields: { verificationMethods: { atproto: 'new key', other: 'k' } },
      changes: [
        { kind: 'verificationMethod.change', id: 'atproto', before: 'old key', after: 'new key' },
        { kind: 'verificationMethod.add', id: 'other', key: 'k' },
      ],
    },
    {
      what: 'no verification method left',
      fields: { verificationMethods: {} },
      changes: [{ kind: 'verificationMethod.remove', id: 'atproto', key: 'old key' }],
    },
    {
      what: 'the type of a service',
      fields: { services: { atproto_pds: { ...service, type: 'Other' } } },
      changes: [
        {
          kind: 'service.change',
          id: 'atproto_pds',
          before: service,
          after: { ...service, type: 'Other' },
        },
      ],
    },
    {
      what: 'one service for another',
      fields: { services: { labeler: service } },
      changes: [
        { kind: 'service.remove', id: 'atproto_pds', service },
        { kind: 'service.add', id: 'labeler', service },
      ],
    },
  ])('$what', ({ fields, changes }) => {
    expect(diffOperation(before, { ...before, ...fields })).toEqual(changes)
  })

  test('a genesis adds everything', () => {
    expect(diffOperation(null, before).map((change) => change.kind)).toEqual([
      'rotationKeys.add',
      'rotationKeys.add',
      'verificationMethod.add',
      'alsoKnownAs.add',
      'service.add',
    ])
  })

  test('a tombstone is one change', () => {
    expect(diffOperation(before, { type: 'plc_tombstone', prev: 'x' })).toEqual([
      { kind: 'tombstone' },
    ])
  })

  test('an id that every object inherits is still added', () => {
    const after = { ...before, services: { ...before.services, constructor: service } }
    expect(diffOperation(before, after)).toEqual([
      { kind: 'service.add', id: 'constructor', service },
    ])
  })
})

describe('properties', () => {
  test('the changes turn the data before into the data after', () => {
    fc.assert(
      fc.property(anyData, anyData, (before, after) => {
        expect(apply(before, diffOperation(before, plcOperation(after)))).toEqual(canonical(after))
      }),
      { numRuns: 1000 },
    )
  })

  test('of lists that share most entries, and repeat some, as well', () => {
    const list = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 6 })
    fc.assert(
      fc.property(list, list, (old, now) => {
        const after = { ...before, rotationKeys: now }
        const changes = diffOperation({ ...before, rotationKeys: old }, after)
        expect(apply({ ...before, rotationKeys: old }, changes).rotationKeys).toEqual(now)
      }),
      { numRuns: 3000 },
    )
  })

  test('there are no changes exactly when nothing changes', () => {
    fc.assert(
      fc.property(anyData, (data) => {
        expect(diffOperation(data, plcOperation(data))).toEqual([])
      }),
    )
  })
})

function apply(before: OperationData, changes: Change[]): OperationData {
  const verificationMethods = new Map(Object.entries(before.verificationMethods))
  const services = new Map(Object.entries(before.services))
  for (const change of changes) {
    if (change.kind === 'verificationMethod.remove') verificationMethods.delete(change.id)
    if (change.kind === 'verificationMethod.add') verificationMethods.set(change.id, change.key)
    if (change.kind === 'verificationMethod.change')
      verificationMethods.set(change.id, change.after)
    if (change.kind === 'service.remove') services.delete(change.id)
    if (change.kind === 'service.add') services.set(change.id, change.service)
    if (change.kind === 'service.change') services.set(change.id, change.after)
  }
  return canonical({
    rotationKeys: applyList('rotationKeys', before.rotationKeys, changes),
    alsoKnownAs: applyList('alsoKnownAs', before.alsoKnownAs, changes),
    verificationMethods: Object.fromEntries(verificationMethods),
    services: Object.fromEntries(services),
  })
}

function applyList(name: 'rotationKeys' | 'alsoKnownAs', before: string[], changes: Change[]) {
  const removed = new Set<number>()
  const added: { index: number; value: string }[] = []
  let list = before
  for (const change of changes.filter(({ kind }) => kind.startsWith(`${name}.`))) {
    if ('value' in change) {
      if (change.kind.endsWith('.add')) added.push(change)
      else removed.add(change.index)
    }
  }
  list = list.filter((_, index) => !removed.has(index))
  const reorder = changes.find(({ kind }) => kind === `${name}.reorder`)
  if (reorder !== undefined && 'after' in reorder) list = [...(reorder.after as string[])]
  for (const { index, value } of added) list.splice(index, 0, value)
  return list
}

/** Without the prototypes and the order of the maps. */
function canonical(data: OperationData): OperationData {
  const sorted = <T>(map: Record<string, T>) =>
    Object.fromEntries(Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1)))
  return {
    ...operationData(plcOperation(data))!,
    verificationMethods: sorted(data.verificationMethods),
    services: sorted(data.services),
  }
}
