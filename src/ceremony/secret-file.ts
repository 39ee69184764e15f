import { decode, encode } from '@ipld/dag-cbor'
import { z } from 'zod'
import { DocumentError } from './document.ts'
import { environments } from './env.ts'
import { SECRET_BYTES } from './share.ts'

const schema = z.strictObject({
  format: z.literal('holdfast/recovery-secret/v1'),
  env: z.enum(environments),
  curve: z.enum(['K-256', 'P-256']),
  did: z.string().max(128),
  secret: z.custom<Uint8Array>(
    (value) => value instanceof Uint8Array && value.length === SECRET_BYTES,
  ),
})

/** What lies inside an encrypted key file. */
export type RecoverySecret = Readonly<Omit<z.infer<typeof schema>, 'format'>>

/** Canonical DAG-CBOR, in a buffer that the caller clears. */
export function encodeRecoverySecret(secret: RecoverySecret): Uint8Array {
  return encode({ format: 'holdfast/recovery-secret/v1', ...secret })
}

/** `secret` is a copy that the caller clears. @throws DocumentError which repeats nothing of it */
export function decodeRecoverySecret(bytes: Uint8Array, file: string): RecoverySecret {
  const parsed = schema.safeParse(decodeOrNull(bytes))
  if (!parsed.success) throw new DocumentError(`${file}: holds no recovery key of this version`)
  const { format: _, ...secret } = parsed.data
  return { ...secret, secret: Uint8Array.from(secret.secret) }
}

function decodeOrNull(bytes: Uint8Array): unknown {
  try {
    return decode(bytes)
  } catch {
    return null
  }
}
