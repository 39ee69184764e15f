import { createHash } from 'node:crypto'

export const NONCE_BYTES = 32

const DOMAIN = 'holdfast/proof-of-possession/v1\n'

/**
 * What a key signs to show that it is there. Never a PLC operation, whatever the nonce: an operation
 * is one DAG-CBOR map, whose first byte is a0 to bf, and this begins with the letter h (68).
 */
export function probeMessage(nonce: Uint8Array): Uint8Array {
  if (nonce.length !== NONCE_BYTES) throw new TypeError('a probe takes a nonce of 32 bytes')
  return Buffer.concat([Buffer.from(DOMAIN, 'utf8'), nonce])
}

/** SHA-256 of the probe; built on both sides, so that no digest of somebody's choice is signed. */
export function probeDigest(nonce: Uint8Array): Uint8Array {
  return createHash('sha256').update(probeMessage(nonce)).digest()
}
