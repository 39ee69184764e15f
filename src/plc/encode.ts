import { hash } from 'node:crypto'
import { decode, encode } from '@ipld/dag-cbor'
import { base32 } from 'multiformats/bases/base32'
import { readCanonical } from './canonical-cbor.ts'
import { formatSignature } from './compact.ts'
import { PlcError } from './error.ts'
import {
  type LegacyCreate,
  MAX_SIGNED_BYTES,
  MAX_UNSIGNED_BYTES,
  parseSignedOperation,
  parseUnsignedOperation,
  type SignedOperation,
  type UnsignedOperation,
} from './operation.ts'
import type { Proof } from './proof.ts'
import { malformed } from './shape.ts'

/** Canonical DAG-CBOR of one unsigned operation; what a rotation key signs the SHA-256 of. */
export type SigningBytes = Proof<Uint8Array, 'SigningBytes'>

// CIDv1, dag-cbor, sha-256, 32 bytes.
const CID_PREFIX = Uint8Array.of(0x01, 0x71, 0x12, 0x20)
// DAG-CBOR sorts short keys first, so "sig" is the first entry of every signed operation: its key
// (4 bytes), the header of 86 characters (2), the characters.
const SIG_ENTRY_START = Uint8Array.of(0x63, 0x73, 0x69, 0x67, 0x78, 86)
const SIG_ENTRY_LENGTH = SIG_ENTRY_START.length + 86

/**
 * The door's way in: bytes, strictly parsed, that are the one canonical encoding of what they say.
 * @returns the operation, and its bytes in a buffer of their own
 * @throws PlcError `malformed`, `not-canonical`, `too-large`
 */
export function decodeUnsignedOperation(message: Uint8Array): {
  operation: UnsignedOperation
  bytes: SigningBytes
} {
  const plain = readPlain(message, MAX_UNSIGNED_BYTES)
  if (plain !== undefined) {
    return {
      operation: parseUnsignedOperation(plain),
      bytes: new Uint8Array(message) as SigningBytes,
    }
  }
  const operation = parseUnsignedOperation(decodeBounded(message, MAX_UNSIGNED_BYTES))
  const bytes = signingBytes(operation)
  requireSame(bytes, message)
  return { operation, bytes }
}

/** @throws PlcError `malformed`, `not-canonical`, `too-large` */
export function decodeSignedOperation(message: Uint8Array): SignedOperation {
  const plain = readPlain(message, MAX_SIGNED_BYTES)
  if (plain !== undefined) return parseSignedOperation(plain)
  const operation = parseSignedOperation(decodeBounded(message, MAX_SIGNED_BYTES))
  requireSame(encodeSignedOperation(operation), message)
  return operation
}

/** did:plc section 2: DAG-CBOR without the `sig` key, absent rather than null. @throws PlcError `malformed` */
export function signingBytes(operation: UnsignedOperation | LegacyCreate): SigningBytes {
  if (Object.hasOwn(operation, 'sig')) throw malformed('an unsigned operation has no sig')
  return encodeOperation(operation) as SigningBytes
}

/** SHA-256, 32 bytes: what everything approved names. */
export function requestDigest(bytes: SigningBytes): Uint8Array {
  return sha256(bytes)
}

/** @param compact r‖s, 64 bytes @throws PlcError `malformed` */
export function attachSignature(
  operation: UnsignedOperation,
  compact: Uint8Array,
): SignedOperation {
  return { ...operation, sig: formatSignature(compact) }
}

/** @throws PlcError `malformed`, `too-large` */
export function encodeSignedOperation(operation: SignedOperation): Uint8Array {
  const bytes = encodeOperation(operation)
  if (bytes.length > MAX_SIGNED_BYTES) throw tooLarge(bytes.length, MAX_SIGNED_BYTES)
  return bytes
}

/**
 * The signing bytes inside an encoded signed operation, so that a log is encoded once for CID and
 * signature. Only for a `sig` that `parseSignature` accepts, which is 86 characters.
 * @throws PlcError `malformed`
 */
export function withoutSignature(signed: Uint8Array): SigningBytes {
  const entry = signed.subarray(1, 1 + SIG_ENTRY_LENGTH)
  if (entry.length < SIG_ENTRY_LENGTH || !SIG_ENTRY_START.every((byte, i) => entry[i] === byte)) {
    throw malformed('no sig of 86 characters at the start of the operation')
  }
  const bytes = new Uint8Array(signed.subarray(SIG_ENTRY_LENGTH))
  bytes[0] = signed[0]! - 1
  return bytes as SigningBytes
}

/**
 * The encoded signed operation made of signing bytes: the inverse of `withoutSignature`, for who has them.
 * @param compact r‖s, 64 bytes @throws PlcError `malformed`
 */
export function withSignature(bytes: SigningBytes, compact: Uint8Array): Uint8Array {
  const signed = new Uint8Array(bytes.length + SIG_ENTRY_LENGTH)
  signed[0] = bytes[0]! + 1
  signed.set(SIG_ENTRY_START, 1)
  signed.set(Buffer.from(formatSignature(compact), 'latin1'), 1 + SIG_ENTRY_START.length)
  signed.set(bytes.subarray(1), 1 + SIG_ENTRY_LENGTH)
  return signed
}

export function cidOf(operation: SignedOperation): string {
  return cidOfEncoded(encodeSignedOperation(operation))
}

/** The DID that a signed genesis makes; whether it may is for `verifyLog` to say. */
export function didOfGenesis(operation: SignedOperation): string {
  return didOfEncoded(encodeSignedOperation(operation))
}

/** @param signed the encoded signed operation */
export function cidOfEncoded(signed: Uint8Array): string {
  const bytes = new Uint8Array(CID_PREFIX.length + 32)
  bytes.set(CID_PREFIX)
  bytes.set(sha256(signed), CID_PREFIX.length)
  return base32.encode(bytes)
}

/** @param signed the encoded signed genesis */
export function didOfEncoded(signed: Uint8Array): string {
  return `did:plc:${base32.baseEncode(sha256(signed)).slice(0, 24)}`
}

function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(hash('sha256', bytes, 'buffer'))
}

function encodeOperation(operation: object): Uint8Array {
  try {
    // The encoder may return part of a shared pool, which others could see and change.
    return new Uint8Array(encode(operation))
  } catch (cause) {
    // For one: `undefined`; or ids "/" and "bytes" of the same value, which the encoder takes for a CID.
    throw new PlcError('malformed', 'the operation has no DAG-CBOR encoding', { cause })
  }
}

/** Of nearly all that comes; the shapes keep every field, so the bytes are of what is parsed. */
function readPlain(message: Uint8Array, limit: number): unknown {
  return message.length > limit ? undefined : readCanonical(message)
}

function decodeBounded(message: Uint8Array, limit: number): unknown {
  if (message.length > limit) throw tooLarge(message.length, limit)
  try {
    return decode(message)
  } catch (cause) {
    throw new PlcError('malformed', 'not one DAG-CBOR value', { cause })
  }
}

function requireSame(encoded: Uint8Array, message: Uint8Array): void {
  if (Buffer.compare(encoded, message) === 0) return
  throw new PlcError('not-canonical', 'the bytes are not the canonical DAG-CBOR of their content')
}

function tooLarge(length: number, limit: number): PlcError {
  return new PlcError('too-large', `an operation of ${length} bytes; at most ${limit} are allowed`)
}
