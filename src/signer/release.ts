import { EcdsaError } from '../ecdsa/error.ts'
import { normaliseS } from '../ecdsa/release.ts'
import type { EcdsaVerify } from '../plc/signature.ts'
import type { KeyConfig } from '../policy/policy-set.ts'
import { SignerError } from './signer.ts'
import type { CommittedIntent, KeyUse, RawSignature, VerifiedSignature } from './signer.ts'

/**
 * The one gate out of every backend. A bit flip, another key behind the same label, a wrong
 * encoding: all of them end here as one error, and nothing is released.
 * @throws SignerError `signature-invalid`
 */
export async function verifyForRelease(
  intent: CommittedIntent,
  { signature, home, requestId }: KeyUse,
  verify: EcdsaVerify,
): Promise<VerifiedSignature> {
  const { key, bytes } = intent.authorized
  const compact = lowS(key, signature)
  if (!(await verify(key.did, bytes, compact))) {
    throw new SignerError(
      'signature-invalid',
      `key ${key.id} returned a signature that is not by ${key.did}`,
    )
  }
  return Object.freeze({ intent, compact, home, requestId }) as VerifiedSignature
}

function lowS(key: KeyConfig, raw: RawSignature): Uint8Array {
  try {
    return normaliseS(key.curve, raw)
  } catch (cause) {
    if (!(cause instanceof EcdsaError)) throw cause
    throw new SignerError(
      'signature-invalid',
      `key ${key.id} returned ${raw.length} bytes that are no signature: ${cause.message}`,
      { cause },
    )
  }
}
