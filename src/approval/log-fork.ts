import { hash } from 'node:crypto'
import { z } from 'zod'
import type { AskedAct } from './act.ts'
import { ApprovalError } from './error.ts'
import { jsonOf } from './json.ts'

const sha256 = z.string().regex(/^[0-9a-f]{64}$/)
const count = z.int().nonnegative()
const origin = z.string().regex(/^[^\s+]{1,256}$/)

const schema = z.strictObject({
  format: z.literal('holdfast/log-fork/v1'),
  env: z.enum(['dev', 'prod']),
  audience: z.string().min(1).max(256),
  made: z.iso.datetime(),
  proposer: z.string().nullable(),
  /** What was checkpointed, and is lost from entry `had` on. */
  from: z.strictObject({ origin, size: count, root: sha256 }),
  had: count,
  /** The new name of the log. */
  origin,
  checkpointKey: z.string().min(1).max(512),
  /** What the directory shows of identities in care that the record does not explain. */
  directory: z.strictObject({
    url: z.string(),
    operations: count,
    foreign: count,
    nullified: count,
  }),
})

/** A fork of the log as it is asked for: what is given up, and what the directory says of it. */
export type LogForkRequest = z.infer<typeof schema>

/** The one text of a request; officers approve its SHA-256. */
export function renderLogFork(request: LogForkRequest): string {
  return `${JSON.stringify(request, null, 2)}\n`
}

/** Only the one text. @throws ApprovalError `malformed` */
export function parseLogFork(text: string, file: string): LogForkRequest {
  const parsed = schema.safeParse(jsonOf(text))
  if (parsed.success && renderLogFork(parsed.data) === text) return parsed.data
  throw new ApprovalError('malformed', `${file}: is not written as a request for a fork is`)
}

/** SHA-256, 32 bytes. */
export function logForkDigest(request: LogForkRequest): Uint8Array {
  return new Uint8Array(hash('sha256', renderLogFork(request), 'buffer'))
}

export function logForkAct(request: LogForkRequest): AskedAct {
  const { env, audience, proposer, made } = request
  return {
    env,
    audience,
    subject: 'log-fork',
    request: logForkDigest(request),
    key: null,
    proposer,
    made: new Date(made),
    display: renderLogFork(request),
    acts: [{ class: 'log-fork', key: 'none' }],
  }
}
