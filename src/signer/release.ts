import { normaliseS } from '../ecdsa/release.ts'
import type { EcdsaVerify } from '../plc/signature.ts'
import { SignerError } from './signer.ts'
import type { CommittedIntent, RawSignature, VerifiedSignature } from './signer.ts'

/**
 * The one gate out of every backend. A bit flip, another key behind the same label, a wrong
 * encoding: all of them end here as one error, and nothing is released.
 * @throws SignerError `signature-invalid`
 */
export async function verifyForRelease(
  intent: CommittedIntent,
  raw: RawSignature,
  verify: EcdsaVerify,
): Promise<VerifiedSignature> {
  const { key, bytes } = intent.authorized
  if (raw.length !== 64) {
    throw new SignerError(
      'signature-invalid',
      `key ${key.id} returned ${raw.length} bytes instead of 64`,
    )
  }
  const compact = normaliseS(key.curve, raw)
  if (!(await verify(key.did, bytes, compact))) {
    throw new SignerError(
      'signature-invalid',
      `key ${key.id} returned a signature that is not by ${key.did}`,
    )
  }
  return Object.freeze({ intent, compact }) as VerifiedSignature
}
