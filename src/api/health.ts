import { z } from 'zod'

export const health = z.strictObject({ alive: z.literal(true) }).meta({ id: 'Health' })

export const readiness = z
  .strictObject({
    ready: z.boolean(),
    parts: z.record(z.string(), z.strictObject({ ok: z.boolean(), message: z.string() })),
    warnings: z.array(z.string()),
  })
  .meta({ id: 'Readiness' })

export type HealthView = z.infer<typeof health>
export type ReadinessView = z.infer<typeof readiness>
