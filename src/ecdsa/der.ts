import { EcdsaError } from './error.ts'

const SEQUENCE = 0x30
const INTEGER = 0x02
const SCALAR_LENGTH = 32

/** r‖s, 64 bytes, to the DER form that AWS KMS answers with. @throws EcdsaError `bad-signature` */
export function compactToDer(compact: Uint8Array): Uint8Array {
  if (compact.length !== 2 * SCALAR_LENGTH) throw badSignature('not 64 bytes')
  const r = derInteger(compact.subarray(0, SCALAR_LENGTH))
  const s = derInteger(compact.subarray(SCALAR_LENGTH))
  return Uint8Array.of(SEQUENCE, r.length + s.length, ...r, ...s)
}

/**
 * The one DER form of two positive integers of at most 32 bytes, to r‖s, 64 bytes. Longer lengths, stray
 * zeros, negative numbers and trailing bytes are refused.
 * @throws EcdsaError `bad-signature`
 */
export function derToCompact(der: Uint8Array): Uint8Array {
  if (der[0] !== SEQUENCE || der[1] !== der.length - 2) throw badSignature('not a DER sequence')
  const r = readInteger(der, 2)
  const s = readInteger(der, r.end)
  if (s.end !== der.length) throw badSignature('bytes after s')
  const compact = new Uint8Array(2 * SCALAR_LENGTH)
  compact.set(r.digits, SCALAR_LENGTH - r.digits.length)
  compact.set(s.digits, 2 * SCALAR_LENGTH - s.digits.length)
  return compact
}

function derInteger(scalar: Uint8Array): Uint8Array {
  const first = scalar.findIndex((byte) => byte !== 0)
  if (first === -1) throw badSignature('r or s is zero')
  const digits = scalar.subarray(first)
  // A set top bit would read as a negative number.
  const sign = digits[0]! >= 0x80 ? [0] : []
  return Uint8Array.of(INTEGER, sign.length + digits.length, ...sign, ...digits)
}

function readInteger(der: Uint8Array, start: number): { digits: Uint8Array; end: number } {
  const length = der[start + 1] ?? 0
  const end = start + 2 + length
  if (der[start] !== INTEGER || length === 0 || end > der.length) throw badSignature('no integer')
  const content = der.subarray(start + 2, end)
  if (content[0]! >= 0x80) throw badSignature('a negative integer')
  const digits = content[0] === 0 ? content.subarray(1) : content
  const stray = digits !== content && !(digits.length > 0 && digits[0]! >= 0x80)
  if (stray || digits.length > SCALAR_LENGTH) throw badSignature('not a minimal positive integer')
  return { digits, end }
}

function badSignature(reason: string): EcdsaError {
  return new EcdsaError('bad-signature', `no ECDSA signature: ${reason}`)
}
