import { possessionChallenge } from '../../../src/ceremony/document.ts'
import type { SignedDocument } from '../../../src/ceremony/document.ts'
import { isProven } from '../../../src/bundle/possession.ts'
import { normaliseS } from '../../../src/ecdsa/release.ts'
import { curveOf } from '../../../src/plc/did-key.ts'
import { quoteText } from '../../../src/plc/text.ts'
import { Refusal } from '../command.ts'

/** Signs the probe of a challenge and nothing else: a key in memory, or one on a token. */
export type Prove = (challenge: Uint8Array) => Promise<Uint8Array>

/**
 * The document with the proof that the key it names signed just this.
 * @throws Refusal when what came back is no such proof
 */
export async function signDocument<T extends SignedDocument>(
  document: T,
  prove: Prove,
): Promise<T> {
  const raw = await prove(possessionChallenge(document))
  const proof = Buffer.from(normaliseS(curveOf(document.did), raw)).toString('base64url')
  const signed = { ...document, proof }
  await verifyDocument(signed, 'the new document')
  return signed
}

/** Two implementations must agree. @throws Refusal naming the file */
export async function verifyDocument(document: SignedDocument, file: string): Promise<void> {
  if (await isProven(document)) return
  throw new Refusal(`${file}: was not signed by ${quoteText(document.did)}, or was changed since`)
}
