import { z } from 'zod'
import { DocumentError, parseDocument } from './document.ts'
import type { SignedDocument } from './document.ts'
import { environments } from './env.ts'
import type { Environment } from './env.ts'

const challenge = z.string().regex(/^[0-9a-f]{64}$/, 'must be 32 bytes in hex')

const schema = z.strictObject({
  format: z.literal('holdfast/possession/v1'),
  env: z.enum(environments),
  did: z.string().max(128),
  challenge,
  /** The clock of the machine that signed, which nobody vouches for: the challenge says when. */
  at: z.iso.datetime(),
  proof: z.string().regex(/^[A-Za-z0-9_-]{86}$/),
})

/** That the private half of a key was there and could sign, once somebody had named the challenge. */
export type Possession = Readonly<z.infer<typeof schema>> & SignedDocument

/** Well-formed; its proof is still to be checked. @throws DocumentError */
export function parsePossession(text: string, file: string): Possession {
  return parseDocument(schema, text, file)
}

export const isChallenge = (text: string): boolean => challenge.safeParse(text).success

/**
 * A rehearsal signs with its own environment inside, so that what it signed is nothing in earnest, even
 * with the same key.
 * @throws DocumentError naming the file and what is another than asked for
 */
export function checkPossession(
  possession: Possession,
  wanted: { readonly env: Environment; readonly did: string; readonly challenge: string | null },
  file: string,
): void {
  for (const field of ['env', 'did', 'challenge'] as const) {
    const [found, asked] = [possession[field], wanted[field]]
    if (asked !== null && found !== asked) {
      throw new DocumentError(`${file}: ${field} is ${found}; ${asked} is asked for`)
    }
  }
}
