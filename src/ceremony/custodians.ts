import { z } from 'zod'
import { PolicyError } from '../policy/error.ts'
import { parseStrictYaml } from '../policy/yaml.ts'
import { custodianName, MAX_SHARES } from './share.ts'

const schema = z.strictObject({
  custodians: z.literal('holdfast/custodians/v1'),
  epoch: z.int().nonnegative(),
  list: z
    .array(
      z.strictObject({
        id: custodianName,
        // Others than X25519 cannot be opened everywhere that a ceremony may have to take place.
        recipient: z
          .string()
          .regex(/^age1[02-9ac-hj-np-z]{58}$/, 'must be age1…, an X25519 recipient'),
      }),
    )
    .min(2, 'a key is split among two at least')
    .max(MAX_SHARES),
})

export type Custodians = {
  readonly epoch: number
  readonly list: readonly { readonly id: string; readonly recipient: string }[]
}

/** Who gets a share, as a reviewed file. @throws PolicyError naming the file and the field */
export function parseCustodians(text: string, file: string): Custodians {
  const parsed = schema.safeParse(parseStrictYaml(text, file))
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    throw malformed(
      `${file}: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not understood'}`,
    )
  }
  const { epoch, list } = parsed.data
  for (const field of ['id', 'recipient'] as const) {
    const values = list.map((entry) => entry[field])
    const twice = values.find((value, index) => values.indexOf(value) !== index)
    // Two shares for one identity are one person's.
    if (twice !== undefined) throw malformed(`${file}: ${field} ${twice} is there twice`)
  }
  return { epoch, list }
}

function malformed(message: string): PolicyError {
  return new PolicyError('file-malformed', message)
}
