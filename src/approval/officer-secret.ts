import * as dagCbor from '@ipld/dag-cbor'
import { z } from 'zod'

const FORMAT = 'holdfast/officer-secret/v1'

const schema = z.strictObject({
  format: z.literal(FORMAT),
  curve: z.enum(['K-256', 'P-256']),
  did: z.string().max(128),
  secret: z.custom<Uint8Array>((value) => value instanceof Uint8Array && value.length === 32),
})

/** What lies inside an officer's encrypted key file. No recovery key's file has this format. */
export type OfficerSecret = Readonly<Omit<z.infer<typeof schema>, 'format'>>

/** Canonical DAG-CBOR, in a buffer that the caller clears. */
export function encodeOfficerSecret(secret: OfficerSecret): Uint8Array {
  return dagCbor.encode({ format: FORMAT, ...secret })
}

/** `secret` is a copy that the caller clears. @returns null for anything else */
export function decodeOfficerSecret(bytes: Uint8Array): OfficerSecret | null {
  const parsed = schema.safeParse(decodeOrNull(bytes))
  if (!parsed.success) return null
  const { format: _, ...secret } = parsed.data
  return { ...secret, secret: Uint8Array.from(secret.secret) }
}

function decodeOrNull(bytes: Uint8Array): unknown {
  try {
    return dagCbor.decode(bytes)
  } catch {
    return null
  }
}
