import { formatDidKey as formatAtprotoKey, parseDidKey } from '@atproto/crypto'
import { PlcError } from './error.ts'
import { quoteText } from './text.ts'

export type Curve = 'K-256' | 'P-256'

type ParsedKey = { curve: Curve; publicKey: Uint8Array; point: Uint8Array }

const ALGORITHMS = { 'K-256': 'ES256K', 'P-256': 'ES256' } as const
// 35 bytes (two of multicodec, 33 of the point) are 48 base58 digits on either curve. Tested first, since
// base58 costs the square of the length.
const DID_KEY_PATTERN = /^did:key:z[1-9A-HJ-NP-Za-km-z]{48}$/

// Checking that a point is on its curve costs as much as a signature check, and logs repeat their keys.
const CACHED_KEYS = 4096
const cache = new Map<string, ParsedKey>()

/**
 * A rotation key in the one spelling that did:plc writes: `did:key:z…`, compressed, on its curve.
 * @returns `publicKey`, 33 bytes compressed, a copy of its own
 * @throws PlcError `bad-key`
 */
export function parseRotationKey(didKey: string): { curve: Curve; publicKey: Uint8Array } {
  const { curve, publicKey } = parseCached(didKey)
  return { curve, publicKey: publicKey.slice() }
}

/** The curve alone, for the hot path of log verification. @throws PlcError `bad-key` */
export function curveOf(didKey: string): Curve {
  return parseCached(didKey).curve
}

/** The uncompressed point, 65 bytes, a copy of its own. @throws PlcError `bad-key` */
export function uncompressedPoint(didKey: string): Uint8Array {
  return parseCached(didKey).point.slice()
}

/** @param publicKey 33 bytes compressed or 65 uncompressed @throws PlcError `bad-key` */
export function formatDidKey(curve: Curve, publicKey: Uint8Array): string {
  try {
    return formatAtprotoKey(ALGORITHMS[curve], publicKey)
  } catch (cause) {
    throw new PlcError('bad-key', `not a public key on ${curve}`, { cause })
  }
}

function parseCached(didKey: string): ParsedKey {
  const known = cache.get(didKey)
  if (known !== undefined) return known
  const parsed = parseKey(didKey)
  if (cache.size >= CACHED_KEYS) cache.delete(cache.keys().next().value!)
  cache.set(didKey, parsed)
  return parsed
}

function parseKey(didKey: string): ParsedKey {
  if (!DID_KEY_PATTERN.test(didKey)) throw badKey(didKey)
  try {
    const { jwtAlg, keyBytes } = parseDidKey(didKey)
    const curve = jwtAlg === ALGORITHMS['K-256'] ? 'K-256' : 'P-256'
    if (formatAtprotoKey(jwtAlg, keyBytes) !== didKey) throw badKey(didKey)
    const point = new Uint8Array(keyBytes)
    return { curve, publicKey: compress(point), point }
  } catch (cause) {
    throw badKey(didKey, cause)
  }
}

function compress(point: Uint8Array): Uint8Array {
  const compressed = point.slice(0, 33)
  compressed[0] = (point[64]! & 1) === 1 ? 3 : 2
  return compressed
}

function badKey(didKey: string, cause?: unknown): PlcError {
  const message = `not a did:key of K-256 or P-256: ${quoteText(didKey)}`
  return new PlcError('bad-key', message, cause === undefined ? {} : { cause })
}
