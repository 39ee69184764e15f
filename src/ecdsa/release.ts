import { curveOrder } from '../plc/compact.ts'
import type { Curve } from '../plc/did-key.ts'
import { EcdsaError } from './error.ts'

/**
 * Any valid r‖s, 64 bytes, in the low-S form that did:plc asks for on both curves. No HSM and no KMS
 * normalises S, and r with n-s signs the same bytes as r with s.
 * @throws EcdsaError `bad-signature` when r or s is not in 1..n-1
 */
export function normaliseS(curve: Curve, compact: Uint8Array): Uint8Array {
  if (compact.length !== 64) throw new EcdsaError('bad-signature', 'a signature is 64 bytes')
  const n = toInteger(curveOrder(curve))
  const r = toInteger(compact.subarray(0, 32))
  const s = toInteger(compact.subarray(32))
  if (r < 1n || r >= n || s < 1n || s >= n) {
    throw new EcdsaError('bad-signature', `r or s is out of range for ${curve}`)
  }
  const low = Uint8Array.from(compact)
  if (s > n / 2n) low.set(Buffer.from((n - s).toString(16).padStart(64, '0'), 'hex'), 32)
  return low
}

function toInteger(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString('hex')}`)
}
