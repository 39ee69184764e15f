import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

// PKCS #8 and SubjectPublicKeyInfo of id-Ed25519 (RFC 8410), before the 32 bytes.
const PRIVATE = Buffer.from('302e020100300506032b657004220420', 'hex')
const PUBLIC = Buffer.from('302a300506032b6570032100', 'hex')

export const SEED_BYTES = 32

/** Pure Ed25519 (RFC 8032); a public key that is no point is just false. */
export function verifyEd25519(
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  if (publicKey.length !== 32 || signature.length !== 64) return false
  try {
    return verify(null, message, publicKeyOf(publicKey), signature)
  } catch {
    return false
  }
}

/**
 * @param seed 32 secret bytes; the caller's copy may be overwritten afterwards
 * @throws RangeError for another length
 */
export function openEd25519(seed: Uint8Array): {
  readonly publicKey: Uint8Array
  readonly sign: (message: Uint8Array) => Uint8Array
} {
  if (seed.length !== SEED_BYTES) throw new RangeError('the seed of an Ed25519 key has 32 bytes')
  const der = Buffer.concat([PRIVATE, seed])
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  der.fill(0)
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' })
  return {
    publicKey: new Uint8Array(spki.subarray(PUBLIC.length)),
    sign: (message) => new Uint8Array(sign(null, message, key)),
  }
}

function publicKeyOf(publicKey: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.concat([PUBLIC, publicKey]), format: 'der', type: 'spki' })
}
