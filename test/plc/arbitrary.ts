import * as fc from 'fast-check'
import type { OperationData, PlcOperation, Service, Tombstone } from '../../src/plc/operation.ts'

/** Anything that UTF-8 can hold, with a liking for what could pass for another line or hide in one. */
export const text: fc.Arbitrary<string> = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ unit: 'grapheme-ascii', maxLength: 40 }),
  fc.constantFrom('at://alice.example.com', 'names: 1', '"\n  0 "', '\u202eevil', 'a\u200bb', '\\'),
)

export const id: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom('atproto', 'atproto_pds', '__proto__', 'constructor', 'toString', ''),
  fc.string({ unit: 'binary', maxLength: 12 }),
)

const service: fc.Arbitrary<Service> = fc.record({ type: text, endpoint: text })

export const prev: fc.Arbitrary<string> = fc
  .tuple(
    fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'),
    fc.stringMatching(/^[a-z2-7]{50}$/),
    fc.constantFrom('a', 'e', 'i', 'm', 'q', 'u', 'y', '4'),
  )
  .map((parts) => `bafyrei${parts.join('')}`)

/** A map as the parser makes them, in which no id means anything special. */
export function mapOf<T>(value: fc.Arbitrary<T>, ids = id): fc.Arbitrary<Record<string, T>> {
  return fc
    .array(fc.tuple(ids, value), { maxLength: 4 })
    .map(
      (entries) =>
        Object.assign(Object.create(null), Object.fromEntries(entries)) as Record<string, T>,
    )
}

export const data: fc.Arbitrary<OperationData> = fc.record({
  rotationKeys: fc.array(text, { maxLength: 5 }),
  verificationMethods: mapOf(text),
  alsoKnownAs: fc.array(text, { maxLength: 5 }),
  services: mapOf(service),
})

export const plcOperation: fc.Arbitrary<PlcOperation> = fc
  .tuple(data, fc.option(prev))
  .map(([fields, prev]) => ({ type: 'plc_operation', ...fields, prev }))

export const tombstone: fc.Arbitrary<Tombstone> = prev.map((prev) => ({
  type: 'plc_tombstone',
  prev,
}))

export const unsignedOperation = fc.oneof({ arbitrary: plcOperation, weight: 9 }, tombstone)
