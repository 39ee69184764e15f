import { z } from 'zod'

export const checkpointView = z
  .object({
    size: z.number().int().describe('how many entries it covers'),
    checkpoint: z
      .string()
      .describe('the signed note (C2SP tlog-checkpoint): keep it, and compare with it later'),
    cosigned: z
      .string()
      .nullable()
      .describe('the newest one that a quorum of witnesses has cosigned, which may be older'),
  })
  .meta({ id: 'Checkpoint' })

export type CheckpointView = z.infer<typeof checkpointView>

/** A page; each entry is below 60 kB. */
export const MAX_ENTRIES = 100

const whole = z
  .string()
  .regex(/^(0|[1-9][0-9]{0,14})$/)
  .transform(Number)

export const entriesQuery = z.object({
  from: whole.pipe(z.int()).optional().describe('the index of the first one; 0'),
  limit: whole
    .pipe(z.int().min(1).max(MAX_ENTRIES))
    .optional()
    .describe(`how many at most: 1 to ${MAX_ENTRIES}`),
})

export const entryIndex = z.string().regex(/^(0|[1-9][0-9]{0,14})$/)

export const entryList = z
  .object({
    size: z.number().int().describe('how many entries the newest checkpoint covers'),
    entries: z.array(
      z.object({
        index: z.number().int(),
        body: z.base64().describe('canonical DAG-CBOR: what the leaf is the hash of'),
      }),
    ),
  })
  .meta({ id: 'EntryList' })

export type EntryList = z.infer<typeof entryList>
