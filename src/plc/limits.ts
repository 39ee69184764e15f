import { curveOf } from './did-key.ts'
import { signingBytes } from './encode.ts'
import { PlcError } from './error.ts'
import {
  MAX_UNSIGNED_BYTES,
  type OperationData,
  type PlcOperation,
  type UnsignedOperation,
} from './operation.ts'
import { quoteText } from './text.ts'

/** The ids are public: they stand in denials, logs, docs and test titles. */
export type LimitRule =
  | 'PLC-ROTATION-KEYS-EMPTY'
  | 'PLC-ROTATION-KEYS-COUNT'
  | 'PLC-ROTATION-KEYS-DUPLICATE'
  | 'PLC-ROTATION-KEY-CURVE'
  | 'PLC-VERIFICATION-METHODS-LIMIT'
  | 'PLC-ATPROTO-KEY-CURVE'
  | 'PLC-ALSO-KNOWN-AS-LIMIT'
  | 'PLC-SERVICES-LIMIT'
  | 'PLC-OPERATION-SIZE'

/** Safe to show: foreign text in the message is quoted and escaped. */
export type Finding = { rule: LimitRule; message: string }

/** @param previous what the operation that `prev` names made true; null for a genesis */
export type LimitCheck = (operation: PlcOperation, previous: OperationData | null) => Finding | null

const MAX_BUILT_KEYS = 5
const MAX_DIRECTORY_KEYS = 10
const MAX_ENTRIES = 10

/** One function per rule, in the order in which a denial names the first that is broken. */
export const limitChecks: readonly LimitCheck[] = [
  checkRotationKeysEmpty,
  checkRotationKeysCount,
  checkRotationKeysDuplicate,
  checkRotationKeyCurve,
  checkVerificationMethods,
  checkAtprotoKeyCurve,
  checkAlsoKnownAs,
  checkServices,
  checkOperationSize,
]

/**
 * The strictest of specification, directory and our own limits (plc section 3), for what we build and
 * sign; never for history. A tombstone has nothing to limit.
 */
export function checkLimits(
  operation: UnsignedOperation,
  previous: OperationData | null,
): Finding | null {
  if (operation.type === 'plc_tombstone') return null
  for (const check of limitChecks) {
    const finding = check(operation, previous)
    if (finding !== null) return finding
  }
  return null
}

/** The directory accepts an empty list, which freezes the identity for good after 72 hours. */
export function checkRotationKeysEmpty({ rotationKeys }: PlcOperation): Finding | null {
  if (rotationKeys.length > 0) return null
  return finding('PLC-ROTATION-KEYS-EMPTY', 'an operation must keep at least one rotation key')
}

/** Five; a head that already has more, up to the directory's ten, must not grow. */
export function checkRotationKeysCount(
  { rotationKeys }: PlcOperation,
  previous: OperationData | null,
): Finding | null {
  const held = previous?.rotationKeys.length ?? 0
  const most = Math.min(Math.max(held, MAX_BUILT_KEYS), MAX_DIRECTORY_KEYS)
  if (rotationKeys.length <= most) return null
  const message = `${rotationKeys.length} rotation keys; at most ${most} are allowed here`
  return finding('PLC-ROTATION-KEYS-COUNT', message)
}

export function checkRotationKeysDuplicate({ rotationKeys }: PlcOperation): Finding | null {
  const twice = rotationKeys.find((key, index) => rotationKeys.indexOf(key) !== index)
  if (twice === undefined) return null
  return finding('PLC-ROTATION-KEYS-DUPLICATE', `${quoteText(twice)} is listed twice`)
}

/** An unknown key would make every check that reaches it fail, and with it the keys below. */
export function checkRotationKeyCurve({ rotationKeys }: PlcOperation): Finding | null {
  const unknown = rotationKeys.find((key) => !isKnownKey(key))
  if (unknown === undefined) return null
  const message = `rotation key ${quoteText(unknown)} is no canonical did:key of K-256 or P-256`
  return finding('PLC-ROTATION-KEY-CURVE', message)
}

export function checkVerificationMethods(operation: PlcOperation): Finding | null {
  const rule = 'PLC-VERIFICATION-METHODS-LIMIT'
  const methods = Object.entries(operation.verificationMethods)
  if (methods.length > MAX_ENTRIES) return tooMany(rule, 'verification methods', methods.length)
  for (const [id, key] of methods) {
    if (id.length > 32) return tooLong(rule, 'verification method id', { text: id, most: 32 })
    if (key.length > 256) return tooLong(rule, 'verification key', { text: key, most: 256 })
  }
  return null
}

/** Other verification methods may hold any kind of key: they are carried unchanged. */
export function checkAtprotoKeyCurve({ verificationMethods }: PlcOperation): Finding | null {
  if (!Object.hasOwn(verificationMethods, 'atproto')) return null
  const key = verificationMethods.atproto!
  if (isKnownKey(key)) return null
  const message = `the atproto key ${quoteText(key)} is no canonical did:key of K-256 or P-256`
  return finding('PLC-ATPROTO-KEY-CURVE', message)
}

export function checkAlsoKnownAs({ alsoKnownAs }: PlcOperation): Finding | null {
  const rule = 'PLC-ALSO-KNOWN-AS-LIMIT'
  if (alsoKnownAs.length > MAX_ENTRIES) return tooMany(rule, 'names', alsoKnownAs.length)
  const long = alsoKnownAs.find((name) => name.length > 258)
  if (long !== undefined) return tooLong(rule, 'name', { text: long, most: 258 })
  const twice = alsoKnownAs.find((name, index) => alsoKnownAs.indexOf(name) !== index)
  return twice === undefined ? null : finding(rule, `${quoteText(twice)} is listed twice`)
}

export function checkServices(operation: PlcOperation): Finding | null {
  const rule = 'PLC-SERVICES-LIMIT'
  const services = Object.entries(operation.services)
  if (services.length > MAX_ENTRIES) return tooMany(rule, 'services', services.length)
  for (const [id, { type, endpoint }] of services) {
    if (id.length > 32) return tooLong(rule, 'service id', { text: id, most: 32 })
    if (type.length > 256) return tooLong(rule, 'service type', { text: type, most: 256 })
    if (endpoint.length > 512) return tooLong(rule, 'endpoint', { text: endpoint, most: 512 })
  }
  return null
}

export function checkOperationSize(operation: PlcOperation): Finding | null {
  if (mostBytes(operation) <= MAX_UNSIGNED_BYTES) return null
  const size = signingBytes(operation).length
  if (size <= MAX_UNSIGNED_BYTES) return null
  const message = `${size} bytes unsigned; at most ${MAX_UNSIGNED_BYTES} are allowed`
  return finding('PLC-OPERATION-SIZE', message)
}

/**
 * No encoding of it has more: of each text three bytes a UTF-16 unit and three of its length, 20 for the
 * names inside a service, 200 for all that every operation has. Most are far below the limit.
 */
function mostBytes(operation: PlcOperation): number {
  const { rotationKeys, verificationMethods, alsoKnownAs, services, prev } = operation
  let most = 200 + 3 * (prev?.length ?? 0)
  for (const text of rotationKeys) most += 3 * text.length + 3
  for (const text of alsoKnownAs) most += 3 * text.length + 3
  for (const [id, text] of Object.entries(verificationMethods)) {
    most += 3 * (id.length + text.length) + 6
  }
  for (const [id, { type, endpoint }] of Object.entries(services)) {
    most += 3 * (id.length + type.length + endpoint.length) + 9 + 20
  }
  return most
}

function isKnownKey(didKey: string): boolean {
  try {
    curveOf(didKey)
    return true
  } catch (error) {
    if (error instanceof PlcError) return false
    throw error
  }
}

function tooMany(rule: LimitRule, what: string, count: number): Finding {
  return finding(rule, `${count} ${what}; at most ${MAX_ENTRIES} are allowed`)
}

function tooLong(
  rule: LimitRule,
  what: string,
  { text, most }: { text: string; most: number },
): Finding {
  const message = `a ${what} of ${text.length} characters, at most ${most} are allowed: ${quoteText(text)}`
  return finding(rule, message)
}

function finding(rule: LimitRule, message: string): Finding {
  return { rule, message }
}
