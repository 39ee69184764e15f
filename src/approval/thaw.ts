import { hash } from 'node:crypto'
import { z } from 'zod'
import type { AskedAct } from './act.ts'
import { ApprovalError } from './error.ts'
import { jsonOf } from './json.ts'

const schema = z.strictObject({
  format: z.literal('holdfast/thaw/v1'),
  env: z.enum(['dev', 'prod']),
  audience: z.string().min(1).max(256),
  made: z.iso.datetime(),
  proposer: z.string().nullable(),
  /** The held record whose freezes they are. */
  store: z.string().min(1).max(64),
  /** All that is frozen, each with its beginning: later freezes are others. */
  frozen: z.array(z.string().max(256)).min(1).max(256),
})

/** That everything which is frozen now is lifted. */
export type ThawRequest = z.infer<typeof schema>

/** The one text of a request; officers approve its SHA-256. */
export function renderThaw(request: ThawRequest): string {
  return `${JSON.stringify(request, null, 2)}\n`
}

/** Only the one text. @throws ApprovalError `malformed` */
export function parseThaw(text: string, file: string): ThawRequest {
  const parsed = schema.safeParse(jsonOf(text))
  if (parsed.success && renderThaw(parsed.data) === text) return parsed.data
  throw new ApprovalError('malformed', `${file}: is not written as a request for a thaw is`)
}

/** SHA-256, 32 bytes. */
export function thawDigest(request: ThawRequest): Uint8Array {
  return new Uint8Array(hash('sha256', renderThaw(request), 'buffer'))
}

export function thawAct(request: ThawRequest): AskedAct {
  const { env, audience, proposer, made } = request
  return {
    env,
    audience,
    subject: 'thaw',
    request: thawDigest(request),
    key: null,
    proposer,
    made: new Date(made),
    display: renderThaw(request),
    acts: [{ class: 'thaw', key: 'none' }],
  }
}
