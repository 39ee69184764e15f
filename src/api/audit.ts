import { z } from 'zod'

export const checkpointView = z
  .object({
    size: z.number().int().describe('how many entries it covers'),
    checkpoint: z
      .string()
      .describe('the signed note (C2SP tlog-checkpoint): keep it, and compare with it later'),
  })
  .meta({ id: 'Checkpoint' })

export type CheckpointView = z.infer<typeof checkpointView>
