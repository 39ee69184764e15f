import { hash } from 'node:crypto'
import { decode, encode } from '@ipld/dag-cbor'
import { z } from 'zod'
import { quoteText } from '../plc/text.ts'
import { environments } from './env.ts'
import { ShareError } from './share-error.ts'

/** Of a secret: a private key of either curve. */
export const SECRET_BYTES = 32
export const SET_BYTES = 16
export const MAX_SHARES = 255
/** Far above any share; what a damaged file may make us read. */
const MAX_WRAPPER_BYTES = 1024
const DOMAIN = Buffer.from('holdfast/share/v1\0', 'utf8')

const bytes = (length: number) =>
  z.custom<Uint8Array>((value) => value instanceof Uint8Array && value.length === length)
export const custodianName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'use a-z, 0-9 and -, at most 63 characters')
const count = z.int().min(2).max(MAX_SHARES)

const content = {
  v: z.literal(1),
  env: z.enum(environments),
  /** One for each split. */
  set: bytes(SET_BYTES),
  /** The occasion on which it was dealt. */
  ceremony: bytes(SET_BYTES),
  /** How many are needed, of how many. */
  t: count,
  n: count,
  x: z.int().min(1).max(MAX_SHARES),
  y: bytes(SECRET_BYTES),
  /** Of the secret that was split. */
  did: z.string().max(128),
  custodian: custodianName,
  /** Of the list of custodians. */
  epoch: z.int().nonnegative(),
}
const wrapper = z.strictObject({ ...content, digest: bytes(32) })
type Content = Readonly<Omit<z.infer<typeof wrapper>, 'digest' | 'v'>>

/** One share of a secret with everything that tells it from a share of anything else. */
export type Share = Content

/**
 * `holdfast/share/v1`: canonical DAG-CBOR, with a digest over all other fields. What is sealed to a
 * custodian. A bare share of the library has neither threshold nor key nor set, so that wrong ones
 * give a wrong secret and no error.
 */
export function encodeShare(share: Share): Uint8Array {
  const body = { v: 1, ...share }
  return new Uint8Array(encode({ ...body, digest: digestOf(body) }))
}

/** SHA-256 of the wrapper, by which the transcript of the dealing knows it. */
export function wrapperDigest(share: Share): Uint8Array {
  return sha256(encodeShare(share))
}

/** @throws ShareError `SHARE_CORRUPT`, `SHARE_X_ZERO` */
export function decodeShare(wrapped: Uint8Array): Share {
  const value = decodeBounded(wrapped)
  const claimed = claimOf(value)
  // The library never looks: a share at x = 0 is taken for the secret itself.
  if (claimed.x === 0) throw new ShareError('SHARE_X_ZERO', claimed, 'its x is 0')
  const parsed = wrapper.safeParse(value)
  if (!parsed.success) throw corrupt(claimed, 'not a holdfast/share/v1')
  const { digest, v, ...share } = parsed.data
  if (Buffer.compare(digest, digestOf({ v, ...share })) !== 0) {
    throw corrupt(claimed, 'its digest is not that of its content')
  }
  if (share.t > share.n) throw corrupt(claimed, 'it needs more shares than there are')
  if (Buffer.compare(encodeShare(share), wrapped) !== 0) {
    throw corrupt(claimed, 'not in the one canonical encoding')
  }
  return share
}

function digestOf(body: object): Uint8Array {
  return sha256(Buffer.concat([DOMAIN, encode(body)]))
}

function decodeBounded(wrapped: Uint8Array): unknown {
  if (wrapped.length > MAX_WRAPPER_BYTES) throw corrupt({}, 'longer than any share')
  try {
    return decode(wrapped)
  } catch (cause) {
    throw corrupt({}, 'not DAG-CBOR', cause)
  }
}

/** Who it says it is, to be named in an error, before it is known to be right. */
function claimOf(value: unknown): { x?: number; custodian?: string } {
  if (typeof value !== 'object' || value === null) return {}
  const { x, custodian } = value as { x?: unknown; custodian?: unknown }
  return {
    ...(typeof x === 'number' ? { x } : {}),
    ...(typeof custodian === 'string' ? { custodian: custodianOf(custodian) } : {}),
  }
}

const custodianOf = (name: string) =>
  custodianName.safeParse(name).success ? name : quoteText(name)

function corrupt(claimed: { x?: number; custodian?: string }, why: string, cause?: unknown) {
  return new ShareError('SHARE_CORRUPT', claimed, why, cause)
}

function sha256(data: Uint8Array): Uint8Array {
  return new Uint8Array(hash('sha256', data, 'buffer'))
}
