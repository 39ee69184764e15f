import { createECDH, hash, randomBytes } from 'node:crypto'
import { P256Keypair, Secp256k1Keypair } from '@atproto/crypto'
import { curveOrder } from '../plc/compact.ts'
import { formatDidKey } from '../plc/did-key.ts'
import type { Curve } from '../plc/did-key.ts'
import { EcdsaError } from './error.ts'
import { openK256Sign } from './native.ts'
import type { K256Sign } from './native.ts'

/** A private key in this process's memory. */
export type PrivateKey = {
  readonly curve: Curve
  readonly did: string
  /** RFC 6979 over the SHA-256, low-S: r‖s, the same 64 bytes each time. */
  sign(bytes: Uint8Array): Promise<Uint8Array>
  /** As far as that can be done here: the runtime may have copied it. */
  clear(): void
}

const OPENSSL_NAMES: Record<Curve, string> = { 'K-256': 'secp256k1', 'P-256': 'prime256v1' }

/** 32 bytes in 1..n-1, each equally likely; the caller clears them. */
export function randomSecret(curve: Curve): Uint8Array {
  for (;;) {
    const secret = Uint8Array.from(randomBytes(32))
    if (isInRange(secret, curve)) return secret
  }
}

/**
 * The public key is derived by two implementations, since a wrong one would be found out only on the
 * day when the key is needed.
 * @param secret 32 bytes; copied, the caller clears its own
 * @param native libsecp256k1 for K-256, where it is: the same signatures, many times faster; null: without
 * @throws EcdsaError `bad-key`
 */
export async function openPrivateKey(
  curve: Curve,
  secret: Uint8Array,
  native: K256Sign | null = openK256Sign(),
): Promise<PrivateKey> {
  if (secret.length !== 32 || !isInRange(secret, curve)) {
    throw new EcdsaError('bad-key', `not a private key of ${curve}`)
  }
  const copy = Uint8Array.from(secret)
  const keypair =
    curve === 'K-256' ? await Secp256k1Keypair.import(copy) : await P256Keypair.import(copy)
  const did = keypair.did()
  if (did !== formatDidKey(curve, pointByOpenssl(curve, copy))) {
    throw new EcdsaError('bad-key', 'two implementations derive two public keys')
  }
  return {
    curve,
    did,
    sign: async (bytes) =>
      curve === 'K-256' && native !== null
        ? native(hash('sha256', bytes, 'buffer'), copy)
        : await keypair.sign(bytes),
    clear: () => void copy.fill(0),
  }
}

function pointByOpenssl(curve: Curve, secret: Uint8Array): Uint8Array {
  const ecdh = createECDH(OPENSSL_NAMES[curve])
  ecdh.setPrivateKey(secret)
  return ecdh.getPublicKey()
}

function isInRange(secret: Uint8Array, curve: Curve): boolean {
  return Buffer.compare(secret, curveOrder(curve)) < 0 && secret.some((byte) => byte !== 0)
}
