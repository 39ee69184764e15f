import { z } from 'zod'

export const keyView = z
  .object({
    id: z.string(),
    did: z.string().describe('the pinned did:key, against which every signature is verified'),
    curve: z.enum(['K-256', 'P-256']),
    class: z.enum(['online', 'recovery']),
    development: z.boolean(),
  })
  .meta({ id: 'Key' })

export const keyList = z.object({ keys: z.array(keyView) }).meta({ id: 'KeyList' })

export type KeyView = z.infer<typeof keyView>
export type KeyList = z.infer<typeof keyList>
