import { possessionChallenge } from '../ceremony/document.ts'
import type { SignedDocument } from '../ceremony/document.ts'
import { verifyWithAtproto } from '../ecdsa/atproto.ts'
import { opensslVerifier } from '../ecdsa/native.ts'
import { parseSignature } from '../plc/compact.ts'
import { PlcError } from '../plc/error.ts'
import { probeMessage } from '../signer/pkcs11/probe.ts'

/** Whether the key that a document names signed just this document. Two implementations must agree. */
export async function isProven(document: SignedDocument): Promise<boolean> {
  const message = probeMessage(possessionChallenge(document))
  try {
    const signature = parseSignature(document.proof)
    const answers = [opensslVerifier(), verifyWithAtproto].map(
      async (verify) => await verify(document.did, message, signature),
    )
    return (await Promise.all(answers)).every(Boolean)
  } catch (error) {
    // No did:key, or no signature: a changed bit does that, too.
    if (error instanceof PlcError) return false
    throw error
  }
}
