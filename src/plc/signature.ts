import { isLowS, parseSignature } from './compact.ts'
import { curveOf } from './did-key.ts'
import { encodeSignedOperation, type SigningBytes, withoutSignature } from './encode.ts'
import { PlcError } from './error.ts'
import type { SignedOperation } from './operation.ts'

export { formatSignature, isLowS, parseSignature } from './compact.ts'

/**
 * The bare ECDSA primitive over SHA-256 of the bytes. It is only ever asked about 64 bytes, low-S, by a
 * canonical key: the strict rules run before it, since no library's own are strict enough.
 */
export type EcdsaVerify = (key: string, bytes: Uint8Array, compact: Uint8Array) => Promise<boolean>

/**
 * @param keys in order of authority, as `rotationKeys` of the operation that `prev` names
 * @returns the lowest index whose key made the signature
 * @throws PlcError `malformed` (the text), `bad-signature` (no key), `bad-key` (a key that cannot be
 * parsed is reached before a match)
 */
export async function verifyOperationSignature(
  operation: SignedOperation,
  keys: readonly string[],
  verify: EcdsaVerify,
): Promise<number> {
  const compact = parseSignature(operation.sig)
  const bytes = withoutSignature(encodeSignedOperation(operation))
  return verifySignature({ bytes, compact, keys, verify })
}

/** As `verifyOperationSignature`, for who has the bytes already. */
export async function verifySignature(input: {
  bytes: SigningBytes
  compact: Uint8Array
  keys: readonly string[]
  verify: EcdsaVerify
}): Promise<number> {
  for (const [index, key] of input.keys.entries()) {
    const strict = isLowS(input.compact, curveOf(key))
    if (strict && (await input.verify(key, input.bytes, input.compact))) return index
  }
  throw new PlcError('bad-signature', 'the signature is by none of the keys that may sign')
}
