/**
 * What to do about a return value other than CKR_OK:
 * `reopen` a fresh session, and login if needed, will do · `reinit` the module must start afresh ·
 * `latch` the PIN is in question, a person must look · `discard` the session is in a state of our
 * own making · `busy` no room now · `configuration` will not change by itself.
 */
export type CkrClass = 'reopen' | 'reinit' | 'latch' | 'discard' | 'busy' | 'configuration'

type Known = readonly [name: string, kind: CkrClass]

// PKCS#11 2.40 §5.1. By number: the names are only text of the binding.
const KNOWN: Readonly<Record<number, Known>> = {
  0x02: ['HOST_MEMORY', 'busy'],
  0x03: ['SLOT_ID_INVALID', 'configuration'],
  0x05: ['GENERAL_ERROR', 'reinit'],
  0x06: ['FUNCTION_FAILED', 'reinit'],
  0x11: ['ATTRIBUTE_SENSITIVE', 'configuration'],
  0x12: ['ATTRIBUTE_TYPE_INVALID', 'configuration'],
  0x30: ['DEVICE_ERROR', 'reinit'],
  0x31: ['DEVICE_MEMORY', 'busy'],
  0x32: ['DEVICE_REMOVED', 'reinit'],
  0x60: ['KEY_HANDLE_INVALID', 'reopen'],
  0x62: ['KEY_SIZE_RANGE', 'configuration'],
  0x63: ['KEY_TYPE_INCONSISTENT', 'configuration'],
  0x68: ['KEY_FUNCTION_NOT_PERMITTED', 'configuration'],
  0x70: ['MECHANISM_INVALID', 'configuration'],
  0x71: ['MECHANISM_PARAM_INVALID', 'configuration'],
  0x82: ['OBJECT_HANDLE_INVALID', 'reopen'],
  0x90: ['OPERATION_ACTIVE', 'discard'],
  0x91: ['OPERATION_NOT_INITIALIZED', 'discard'],
  0xa0: ['PIN_INCORRECT', 'latch'],
  0xa1: ['PIN_INVALID', 'latch'],
  0xa2: ['PIN_LEN_RANGE', 'latch'],
  0xa3: ['PIN_EXPIRED', 'latch'],
  0xa4: ['PIN_LOCKED', 'latch'],
  0xb0: ['SESSION_CLOSED', 'reopen'],
  0xb1: ['SESSION_COUNT', 'busy'],
  0xb3: ['SESSION_HANDLE_INVALID', 'reopen'],
  0xe0: ['TOKEN_NOT_PRESENT', 'reinit'],
  0xe1: ['TOKEN_NOT_RECOGNIZED', 'reinit'],
  0x100: ['USER_ALREADY_LOGGED_IN', 'discard'],
  0x101: ['USER_NOT_LOGGED_IN', 'reopen'],
  0x102: ['USER_PIN_NOT_INITIALIZED', 'configuration'],
  0x150: ['BUFFER_TOO_SMALL', 'discard'],
  0x190: ['CRYPTOKI_NOT_INITIALIZED', 'reinit'],
}

export const CKR_ATTRIBUTE_SENSITIVE = 0x11
export const CKR_ATTRIBUTE_TYPE_INVALID = 0x12
export const CKR_TOKEN_NOT_PRESENT = 0xe0
export const CKR_TOKEN_NOT_RECOGNIZED = 0xe1
export const CKR_SESSION_COUNT = 0xb1
export const CKR_USER_ALREADY_LOGGED_IN = 0x100
export const CKR_USER_NOT_LOGGED_IN = 0x101

/** A number that no table knows comes from a vendor: only a fresh start is sure to clear it. */
export function classOf(ckr: number): CkrClass {
  return KNOWN[ckr]?.[1] ?? 'reinit'
}

/** For people: `CKR_DEVICE_ERROR`, or the number. */
export function nameOf(ckr: number): string {
  const known = KNOWN[ckr]
  return known === undefined ? `CKR 0x${ckr.toString(16)}` : `CKR_${known[0]}`
}
