import type { Curve } from './did-key.ts'
import { malformed } from './shape.ts'

/** r‖s big-endian, so n and n/2 compare as bytes. */
type Order = { n: Uint8Array; half: Uint8Array }
const ORDERS: Record<Curve, Order> = {
  'K-256': {
    n: bytesOf('fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141'),
    half: bytesOf('7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0'),
  },
  'P-256': {
    n: bytesOf('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551'),
    half: bytesOf('7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8'),
  },
}
const ZERO = new Uint8Array(32)

// 64 bytes are 85 whole base64 digits and one that carries two bits: the other four must be zero.
const SIGNATURE_PATTERN = /^[A-Za-z0-9_-]{85}[AQgw]$/

/**
 * did:plc section 2: base64url without padding, exactly 86 characters.
 * @returns r‖s, 64 bytes @throws PlcError `malformed`
 */
export function parseSignature(sig: string): Uint8Array {
  if (!SIGNATURE_PATTERN.test(sig)) {
    throw malformed('sig must be 64 bytes in base64url without padding or stray bits')
  }
  return Uint8Array.from(Buffer.from(sig, 'base64url'))
}

/** @param compact r‖s, 64 bytes @throws PlcError `malformed` */
export function formatSignature(compact: Uint8Array): string {
  if (compact.length !== 64) throw malformed('a signature is 64 bytes, r and s')
  return Buffer.from(compact).toString('base64url')
}

/** n, the order of the curve: 32 bytes big-endian, a copy. */
export function curveOrder(curve: Curve): Uint8Array {
  return ORDERS[curve].n.slice()
}

/** 64 bytes with r in 1..n-1 and s in 1..n/2. */
export function isLowS(compact: Uint8Array, curve: Curve): boolean {
  if (compact.length !== 64) return false
  const r = compact.subarray(0, 32)
  const s = compact.subarray(32)
  const { n, half } = ORDERS[curve]
  return isBelow(ZERO, r) && isBelow(r, n) && isBelow(ZERO, s) && !isBelow(half, s)
}

function isBelow(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) < 0
}

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, 'hex'))
}
