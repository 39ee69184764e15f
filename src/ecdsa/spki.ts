import { type Curve, curveOf, uncompressedPoint } from '../plc/did-key.ts'

// AlgorithmIdentifier of id-ecPublicKey on the curve, then a bit string that holds the point (RFC 5480).
const HEADERS: Record<Curve, Uint8Array> = {
  'K-256': bytesOf('3056301006072a8648ce3d020106052b8104000a034200'),
  'P-256': bytesOf('3059301306072a8648ce3d020106082a8648ce3d030107034200'),
}

/**
 * DER SubjectPublicKeyInfo with the uncompressed point in its last 65 bytes, as AWS KMS answers and as a
 * PDS reads it: 88 bytes for K-256, 91 for P-256.
 * @throws PlcError `bad-key`
 */
export function spkiOf(didKey: string): Uint8Array {
  const header = HEADERS[curveOf(didKey)]
  const point = uncompressedPoint(didKey)
  const spki = new Uint8Array(header.length + point.length)
  spki.set(header)
  spki.set(point, header.length)
  return spki
}

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, 'hex'))
}
