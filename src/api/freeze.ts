import { z } from 'zod'

export const freezeBody = z
  .strictObject({
    scope: z
      .string()
      .regex(/^(all|(?:caller|key) [a-z0-9][a-z0-9-]{0,62})$/)
      .describe('`all`, `caller NAME` or `key ID`'),
  })
  .meta({ id: 'Freeze' })

export type FreezeBody = z.infer<typeof freezeBody>

export const freezeView = z
  .object({
    frozen: z
      .array(z.string())
      .describe('all that is frozen now: `caller NAME since TIME by person:ID`'),
  })
  .meta({ id: 'Frozen' })

export type FreezeView = z.infer<typeof freezeView>
