import {
  createPublicKey,
  hash,
  type KeyObject,
  randomBytes,
  verify as opensslVerify,
} from 'node:crypto'
import { createRequire } from 'node:module'
import { isLowS } from '../plc/compact.ts'
import { curveOf, uncompressedPoint } from '../plc/did-key.ts'
import type { EcdsaVerify } from '../plc/signature.ts'
import { spkiOf } from './spki.ts'

export type Engine = 'libsecp256k1' | 'openssl'

type K256Verify = (compact: Uint8Array, digest: Uint8Array, publicKey: Uint8Array) => boolean
type Binding = {
  readonly ecdsaVerify: K256Verify
  readonly ecdsaSign: (digest: Uint8Array, secret: Uint8Array) => { signature: Uint8Array }
  readonly contextRandomize: (seed: Uint8Array) => void
}

/** Set by the build of the one file, which loads no machine code that happens to lie beside it. */
declare const HOLDFAST_BUILT: boolean | undefined

// Parsing a key costs more than using it, and logs repeat their keys.
const CACHED_KEYS = 4096

/**
 * The fast primitives: libsecp256k1 for K-256 where its binding loads, OpenSSL for K-256 otherwise and
 * for P-256 always. `engine` says which serves K-256. Both answer as `verifyWithAtproto` does.
 */
export function openVerifier(): { verify: EcdsaVerify; engine: Engine } {
  const k256 = loadK256()
  if (k256 === null) return { verify: opensslVerifier(), engine: 'openssl' }
  return { verify: libsecp256k1Verifier(k256.ecdsaVerify), engine: 'libsecp256k1' }
}

/** RFC 6979 over a digest of 32 bytes, low-S: r‖s. Throws for a secret out of range. */
export type K256Sign = (digest: Uint8Array, secret: Uint8Array) => Uint8Array

/** libsecp256k1's signing, blinded anew; null where its binding does not load. */
export function openK256Sign(): K256Sign | null {
  const k256 = loadK256()
  if (k256 === null) return null
  k256.contextRandomize(Uint8Array.from(randomBytes(32)))
  return (digest, secret) => Uint8Array.from(k256.ecdsaSign(digest, secret).signature)
}

/** OpenSSL for both curves. */
export function opensslVerifier(): EcdsaVerify {
  const known = new Map<string, KeyObject>()
  return async (key, bytes, compact) => {
    if (!isLowS(compact, curveOf(key))) return false
    const publicKey = known.get(key) ?? remember(known, key)
    return opensslVerify('sha256', bytes, { key: publicKey, dsaEncoding: 'ieee-p1363' }, compact)
  }
}

function remember(known: Map<string, KeyObject>, key: string): KeyObject {
  const spki = Buffer.from(spkiOf(key))
  return rememberIn(known, key, createPublicKey({ key: spki, format: 'der', type: 'spki' }))
}

function rememberIn<T>(known: Map<string, T>, key: string, value: T): T {
  if (known.size >= CACHED_KEYS) known.delete(known.keys().next().value!)
  known.set(key, value)
  return value
}

function libsecp256k1Verifier(k256: K256Verify): EcdsaVerify {
  const openssl = opensslVerifier()
  // Uncompressed, so that no root is taken for each signature.
  const known = new Map<string, Uint8Array>()
  return async (key, bytes, compact) => {
    if (curveOf(key) !== 'K-256') return openssl(key, bytes, compact)
    const point = known.get(key) ?? rememberIn(known, key, uncompressedPoint(key))
    return isLowS(compact, 'K-256') && k256(compact, hash('sha256', bytes, 'buffer'), point)
  }
}

/** Null without the optional binding. Never the package's main entry: that falls back to JavaScript. */
function loadK256(): Binding | null {
  if (typeof HOLDFAST_BUILT === 'undefined') {
    try {
      const binding: unknown = createRequire(import.meta.url)('secp256k1/bindings.js')
      return isBinding(binding) ? binding : null
    } catch {
      return null
    }
  }
  return null
}

function isBinding(value: unknown): value is Binding {
  if (typeof value !== 'object' || value === null) return false
  const names = ['ecdsaVerify', 'ecdsaSign', 'contextRandomize'] as const
  const methods = value as Readonly<Record<string, unknown>>
  return names.every((name) => typeof methods[name] === 'function')
}
