import { z } from 'zod'

export const health = z.object({ alive: z.literal(true) }).meta({ id: 'Health' })

export const readiness = z
  .object({
    ready: z.boolean(),
    parts: z.record(z.string(), z.object({ ok: z.boolean(), message: z.string() })),
    warnings: z.array(z.string()),
  })
  .meta({ id: 'Readiness' })

export type HealthView = z.infer<typeof health>
export type ReadinessView = z.infer<typeof readiness>
