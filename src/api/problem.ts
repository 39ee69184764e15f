import { z } from 'zod'
import { requestStates } from '../custody/request.ts'
import { requestId } from './request.ts'

/** Stable: other people's scripts compare them. */
export const problemCodes = [
  'busy',
  'conflict',
  'denied',
  'forbidden',
  'internal',
  'malformed',
  'method-not-allowed',
  'not-found',
  'rejected',
  'stale',
  'too-large',
  'unauthenticated',
  'unsupported-media-type',
  'void',
] as const
export type ProblemCode = (typeof problemCodes)[number]

/** RFC 9457, with a stable `code` and the name under which the log has this call. */
export const problem = z
  .object({
    type: z.literal('about:blank'),
    title: z.string(),
    status: z.int(),
    code: z.enum(problemCodes),
    detail: z.string(),
    correlationId: z.string(),
    rule: z.string().optional().describe('of a denial: the rule that said no'),
    request: requestId.optional().describe('the request that this is about'),
    state: z.enum(requestStates).optional().describe('of a conflict: where the request stands'),
  })
  .meta({ id: 'Problem' })

export type ProblemView = z.infer<typeof problem>
