import type { Curve } from '../../plc/did-key.ts'

/** CKA_EC_PARAMS of the two curves of PLC: DER of the named curve's OID. */
export const EC_PARAMS: Readonly<Record<Curve, Uint8Array>> = {
  'K-256': bytesOf('06052b8104000a'),
  'P-256': bytesOf('06082a8648ce3d030107'),
}

/** Null for any other curve and for explicit parameters, which can describe a curve of the attacker's. */
export function curveOfParams(params: Uint8Array): Curve | null {
  if (Buffer.compare(params, EC_PARAMS['K-256']) === 0) return 'K-256'
  if (Buffer.compare(params, EC_PARAMS['P-256']) === 0) return 'P-256'
  return null
}

/**
 * CKA_EC_POINT in either of its encodings: a DER octet string of 67 bytes, as the standard says, or
 * the bare 65 bytes. Both begin with 04, so the length decides. Not checked to be on a curve.
 * @returns 65 bytes, 04 X Y; null for anything else
 */
export function pointOf(attribute: Uint8Array): Uint8Array | null {
  if (attribute.length === 65 && attribute[0] === 0x04) return Uint8Array.from(attribute)
  const isDer =
    attribute.length === 67 &&
    attribute[0] === 0x04 &&
    attribute[1] === 0x41 &&
    attribute[2] === 0x04
  return isDer ? Uint8Array.from(attribute.subarray(2)) : null
}

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, 'hex'))
}
