import { createPublicKey, hash, type KeyObject, verify as opensslVerify } from 'node:crypto'
import { createRequire } from 'node:module'
import { isLowS } from '../plc/compact.ts'
import { curveOf, parseRotationKey } from '../plc/did-key.ts'
import type { EcdsaVerify } from '../plc/signature.ts'
import { spkiOf } from './spki.ts'

export type Engine = 'libsecp256k1' | 'openssl'

type K256Verify = (compact: Uint8Array, digest: Uint8Array, publicKey: Uint8Array) => boolean

// Parsing a key costs more than using it, and logs repeat their keys.
const CACHED_KEYS = 4096

/**
 * The fast primitives: libsecp256k1 for K-256 where its binding loads, OpenSSL for K-256 otherwise and
 * for P-256 always. `engine` says which serves K-256. Both answer as `verifyWithAtproto` does.
 */
export function openVerifier(): { verify: EcdsaVerify; engine: Engine } {
  const k256 = loadK256()
  if (k256 === null) return { verify: opensslVerifier(), engine: 'openssl' }
  return { verify: libsecp256k1Verifier(k256), engine: 'libsecp256k1' }
}

/** OpenSSL for both curves. */
export function opensslVerifier(): EcdsaVerify {
  const keyOf = cached((key): KeyObject =>
    createPublicKey({ key: Buffer.from(spkiOf(key)), format: 'der', type: 'spki' }),
  )
  return async (key, bytes, compact) =>
    isLowS(compact, curveOf(key)) &&
    opensslVerify('sha256', bytes, { key: keyOf(key), dsaEncoding: 'ieee-p1363' }, compact)
}

function libsecp256k1Verifier(k256: K256Verify): EcdsaVerify {
  const openssl = opensslVerifier()
  const pointOf = cached((key) => parseRotationKey(key).publicKey)
  return async (key, bytes, compact) => {
    if (curveOf(key) !== 'K-256') return openssl(key, bytes, compact)
    if (!isLowS(compact, 'K-256')) return false
    return k256(compact, hash('sha256', bytes, 'buffer'), pointOf(key))
  }
}

/** Null without the optional binding. Never the package's main entry: that falls back to JavaScript. */
function loadK256(): K256Verify | null {
  try {
    const binding: unknown = createRequire(import.meta.url)('secp256k1/bindings.js')
    return isBinding(binding) ? binding.ecdsaVerify : null
  } catch {
    return null
  }
}

function isBinding(value: unknown): value is { ecdsaVerify: K256Verify } {
  return (
    typeof value === 'object' &&
    value !== null &&
    'ecdsaVerify' in value &&
    typeof value.ecdsaVerify === 'function'
  )
}

function cached<T>(make: (key: string) => T): (key: string) => T {
  const known = new Map<string, T>()
  return (key) => {
    const found = known.get(key)
    if (found !== undefined) return found
    const made = make(key)
    if (known.size >= CACHED_KEYS) known.delete(known.keys().next().value!)
    known.set(key, made)
    return made
  }
}
