import { z } from 'zod'
import { parseDocument } from './document.ts'
import type { SignedDocument } from './document.ts'
import { environments } from './env.ts'

const schema = z.strictObject({
  format: z.literal('holdfast/recovery-key/v1'),
  env: z.enum(environments),
  did: z.string().max(128),
  curve: z.enum(['K-256', 'P-256']),
  source: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('token'), uri: z.string().max(1024) }),
    z.strictObject({
      kind: z.literal('shares'),
      set: z.string().regex(/^[0-9a-f]{32}$/),
      threshold: z.int().min(2),
      shares: z.int().min(2),
    }),
    z.strictObject({ kind: z.literal('file') }),
  ]),
  made: z.iso.datetime(),
  nonce: z.string().regex(/^[0-9a-f]{64}$/),
  proof: z.string().regex(/^[A-Za-z0-9_-]{86}$/),
})

/** The public half of a recovery key and where the private one is: signed by the key itself. */
export type RecoveryKeyRecord = Readonly<z.infer<typeof schema>> & SignedDocument

/** Well-formed; its proof is still to be checked. @throws DocumentError */
export function parseRecoveryKeyRecord(text: string, file: string): RecoveryKeyRecord {
  return parseDocument(schema, text, file)
}
