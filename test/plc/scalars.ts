import { curveOrder } from '../../src/plc/compact.ts'
import type { Curve } from '../../src/plc/did-key.ts'

export function toInteger(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString('hex')}`)
}

/** 32 bytes big-endian. */
export function toBytes(scalar: bigint): Uint8Array {
  return Uint8Array.from(Buffer.from(scalar.toString(16).padStart(64, '0'), 'hex'))
}

export function signatureOf(r: bigint, s: bigint): Uint8Array {
  return Uint8Array.from([...toBytes(r), ...toBytes(s)])
}

/** r with n-s, which ECDSA itself takes for as good as r with s. */
export function flipS(curve: Curve, compact: Uint8Array): Uint8Array {
  const n = toInteger(curveOrder(curve))
  return signatureOf(toInteger(compact.subarray(0, 32)), n - toInteger(compact.subarray(32)))
}
