import { encode } from '@ipld/dag-cbor'
import { parseDidKey } from '@atproto/crypto'
import { Refusal } from './operation.ts'
import type { Entry, Operation, PlcOperation } from './operation.ts'

const HOUR_MS = 3_600_000
const MAX_BYTES = 4_000
const MAX_ENTRIES = 10
const MAX_ID = 32

/** The operational limits of the public directory (plc.md §3, column "server"), which are laxer
 *  than the specification in places: no, repeated and up to ten rotation keys pass. */
export function checkIncoming(value: unknown): Operation {
  if (encode(value).byteLength > MAX_BYTES) {
    throw new Refusal(400, `Operation too large (${MAX_BYTES} bytes maximum in cbor encoding)`)
  }
  if (!isOperation(value)) {
    throw new Refusal(400, `Not a valid operation: ${JSON.stringify(value)}`)
  }
  if (value.type === 'plc_tombstone') return value
  checkAlsoKnownAs(value.alsoKnownAs)
  checkRotationKeys(value.rotationKeys)
  checkServices(value.services)
  checkVerificationMethods(value.verificationMethods)
  return value
}

/** Counted over active operations, genesis included, and never over one that nullifies. */
export function checkRate(active: readonly Entry[], now: Date): void {
  const periods = [
    { name: 'week', hours: 168, max: 100 },
    { name: 'day', hours: 24, max: 30 },
    { name: 'hour', hours: 1, max: 10 },
  ]
  for (const { name, hours, max } of periods) {
    const since = now.getTime() - hours * HOUR_MS
    const count = active.filter((entry) => entry.createdAt.getTime() > since).length
    if (count >= max) {
      throw new Refusal(400, `To many operations within last ${name} (max ${max})`)
    }
  }
}

function checkAlsoKnownAs(names: readonly string[]): void {
  if (names.length > MAX_ENTRIES) throw new Refusal(400, 'To many alsoKnownAs entries (max 10)')
  const long = names.find((name) => name.length > 258)
  if (long !== undefined) {
    throw new Refusal(400, `alsoKnownAs entry too long (max 258): ${long}`)
  }
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw new Refusal(400, `duplicate alsoKnownAs entry: ${twice}`)
}

function checkRotationKeys(keys: readonly string[]): void {
  if (keys.length > MAX_ENTRIES) throw new Refusal(400, 'Too many rotationKey entries (max 10)')
  for (const key of keys) {
    if (!isRotationKey(key)) throw new Refusal(400, `Invalid rotationKey: ${key}`)
  }
}

function isRotationKey(key: string): boolean {
  try {
    parseDidKey(key)
    return true
  } catch {
    return false
  }
}

function checkServices(services: PlcOperation['services']): void {
  const entries = Object.entries(services)
  if (entries.length > MAX_ENTRIES) throw new Refusal(400, 'To many service entries (max 10)')
  for (const [id, { type, endpoint }] of entries) {
    if (id.length > MAX_ID) throw new Refusal(400, `Service id too long (max 32): ${id}`)
    if (type.length > 256) throw new Refusal(400, 'Service type too long (max 256)')
    if (endpoint.length > 512) throw new Refusal(400, 'Service endpoint too long (max 512)')
  }
}

function checkVerificationMethods(methods: PlcOperation['verificationMethods']): void {
  const entries = Object.entries(methods)
  if (entries.length > MAX_ENTRIES) {
    throw new Refusal(400, 'Too many Verification Method entries (max 10)')
  }
  for (const [id, key] of entries) {
    if (id.length > MAX_ID) {
      throw new Refusal(400, `Verification Method id too long (max 32): ${id}`)
    }
    if (key.length > 256) {
      throw new Refusal(400, `Verification Method key too long (max 256): ${key}`)
    }
    if (!/^did:key:z[1-9A-HJ-NP-Za-km-z]+$/.test(key)) {
      throw new Refusal(400, `Invalid verificationMethod key: ${key}`)
    }
  }
}

function isOperation(value: unknown): value is Operation {
  if (!hasKeys(value) || typeof value['sig'] !== 'string') return false
  const count = Object.keys(value).length
  if (value['type'] === 'plc_tombstone') return typeof value['prev'] === 'string' && count === 3
  return (
    value['type'] === 'plc_operation' &&
    count === 7 &&
    (value['prev'] === null || typeof value['prev'] === 'string') &&
    isListOfText(value['rotationKeys']) &&
    isListOfText(value['alsoKnownAs']) &&
    hasKeys(value['verificationMethods']) &&
    isListOfText(Object.values(value['verificationMethods'])) &&
    hasKeys(value['services']) &&
    Object.values(value['services']).every(isService)
  )
}

function isService(value: unknown): boolean {
  return (
    hasKeys(value) &&
    typeof value['type'] === 'string' &&
    typeof value['endpoint'] === 'string' &&
    Object.keys(value).length === 2
  )
}

function isListOfText(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}

function hasKeys(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
