import { z } from 'zod'

/** PLC operations as JSON, the way the directory and every PLC tool write them. */

const service = z.strictObject({ type: z.string(), endpoint: z.string() })

const data = {
  rotationKeys: z.array(z.string()).describe('did:key, the one of most authority first'),
  verificationMethods: z.record(z.string(), z.string()),
  alsoKnownAs: z.array(z.string()),
  services: z.record(z.string(), service),
}
const prev = z.string().describe('CID of the signed operation that this one follows')
const sig = z.string().describe('r‖s, low-S, 64 bytes as base64url without padding')

const update = z.strictObject({
  type: z.literal('plc_operation'),
  ...data,
  prev: prev.nullable().describe('CID of the signed operation before; null for a genesis'),
})
const tombstone = z.strictObject({ type: z.literal('plc_tombstone'), prev })

export const unsignedOperation = z
  .discriminatedUnion('type', [update, tombstone])
  .meta({ id: 'UnsignedOperation' })

export const signedOperation = z
  .discriminatedUnion('type', [
    z.strictObject({ ...update.shape, sig }),
    z.strictObject({ ...tombstone.shape, sig }),
  ])
  .meta({ id: 'SignedOperation' })

export type UnsignedOperationJson = z.infer<typeof unsignedOperation>
export type SignedOperationJson = z.infer<typeof signedOperation>
