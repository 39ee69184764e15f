import { z } from 'zod'
import { requestStates, submissionOutcomes } from '../custody/request.ts'
import { operationClasses } from '../policy/policy-set.ts'
import { signedOperation, unsignedOperation } from './operation.ts'

/** Only what has this form is ever looked up. */
export const requestId = z
  .stringFormat('uuid', /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
  .describe('UUID in lower case')

const time = z.iso.datetime({ precision: 3 })

export const submission = z
  .object({
    outcome: z
      .enum(submissionOutcomes)
      .describe('the last answer; whether the operation holds is said by `state` alone'),
    status: z.int().nullable().describe('HTTP status of a refusal'),
    message: z.string().nullable().describe("the directory's words, escaped"),
    sentAt: time,
    confirmedAt: time.nullable().describe("when the directory's log showed the operation"),
  })
  .meta({ id: 'Submission' })

const hex32 = z.string().regex(/^[0-9a-f]{64}$/)
const unixSeconds = z.int().describe('Unix seconds')

const base64url = z
  .string()
  .regex(/^[A-Za-z0-9_-]+$/)
  .max(12_000)

/** An officer's statement, with what proves it. */
export const saying = z
  .strictObject({
    statement: z.base64().min(4).max(24_000).describe('canonical DAG-CBOR'),
    evidence: z.discriminatedUnion('kind', [
      z.strictObject({
        kind: z.literal('did:key'),
        did: z.string().max(128),
        signature: base64url,
      }),
      z.strictObject({
        kind: z.literal('webauthn'),
        credentialId: base64url,
        clientDataJSON: base64url,
        authenticatorData: base64url,
        signature: base64url.describe('DER'),
      }),
    ]),
  })
  .meta({ id: 'Saying' })

/** What officers are asked, and what they said so far. */
export const approvalView = z
  .object({
    requester: z.string().describe('`caller:NAME` or `person:ID`: does not approve'),
    env: z.enum(['dev', 'prod', 'rehearsal']),
    audience: z.string().describe('the name of this service in statements'),
    keyDid: z.string().nullable(),
    head: z.string().nullable(),
    nullifies: z.array(z.string()).describe('CIDs that it takes out of history'),
    policy: z.object({ rules: z.array(z.string()), digest: hex32 }),
    roster: z.object({ epoch: z.int(), digest: hex32 }),
    approveBy: unixSeconds,
    executeBy: unixSeconds,
    delay: z.int().describe('seconds from the quorum to the first moment of signing'),
    within: z.int().describe('seconds from the end of the delay to the last'),
    display: z.string().describe('the text that officers read; its SHA-256 is in their statements'),
    words: z.string().describe('the first 8 words of that SHA-256'),
    standing: z.enum(['waiting', 'delayed', 'met', 'rejected', 'expired', 'void']),
    until: unixSeconds.nullable().describe('of a delay: from when it can be signed'),
    missing: z.array(z.string()).describe('for people'),
    said: z.array(
      z.object({
        person: z.string(),
        decision: z.enum(['approve', 'reject']),
        by: z.enum(['did:key', 'webauthn']),
        counts: z.boolean(),
        saying: saying.describe('verbatim, so that everybody can verify it again'),
      }),
    ),
  })
  .meta({ id: 'Approval' })

/** A request as `/v1` shows it. Field order is the order in the JSON. */
export const requestView = z
  .object({
    id: requestId,
    caller: z.string(),
    key: z.string().describe('id of the key'),
    state: z.enum(requestStates),
    digest: z.string().describe('SHA-256 of the signing bytes, hex'),
    class: z.enum(operationClasses),
    did: z.string().nullable().describe('null for a genesis that is not signed yet'),
    prev: z.string().nullable(),
    rules: z.array(z.string()).describe('rules and invariants that decided'),
    decision: z.string().describe('why, for people'),
    rendering: z.string().describe('what the operation changes, for people'),
    operation: unsignedOperation.describe('what was asked for'),
    signedOperation: signedOperation
      .nullable()
      .describe('null until it is signed, and once its signature was replaced'),
    signature: z.string().nullable().describe('`sig` of the signed operation'),
    cid: z.string().nullable().describe('CID of the signed operation'),
    replaces: z.array(requestId).describe('requests whose signature this one replaces'),
    submission: submission.nullable().describe('null when the caller submits by itself'),
    approval: approvalView
      .nullable()
      .describe('null where officers were not asked, or the policy of today does not ask them'),
    createdAt: time,
    intendedAt: time.nullable(),
    producedAt: time.nullable(),
  })
  .meta({ id: 'Request' })

export const requestList = z
  .object({
    requests: z.array(requestView),
    cursor: requestId.nullable().describe('null on the last page'),
  })
  .meta({ id: 'RequestList' })

export type ApprovalView = z.infer<typeof approvalView>
export type SubmissionView = z.infer<typeof submission>
export type RequestView = z.infer<typeof requestView>
export type RequestList = z.infer<typeof requestList>

/** An unsigned operation has at most 3,908 bytes. */
const MAX_UNSIGNED_BASE64 = 5212

/** Either form names the same bytes: JSON is brought into the one canonical encoding. */
export const proposal = z
  .union([
    z.strictObject({ key: z.string().min(1).max(2048), operation: unsignedOperation }),
    z.strictObject({
      key: z.string().min(1).max(2048),
      unsigned: z.base64().min(4).max(MAX_UNSIGNED_BASE64).describe('canonical DAG-CBOR, base64'),
    }),
  ])
  .meta({ id: 'Proposal' })

export type Proposal = z.infer<typeof proposal>

export type SayingBody = z.infer<typeof saying>

export const MAX_PAGE = 100

export const listQuery = z.strictObject({
  state: z.enum(requestStates).optional(),
  cursor: requestId.optional().describe('`cursor` of the page before'),
  limit: z
    .string()
    .regex(/^[1-9][0-9]{0,2}$/)
    .transform(Number)
    .pipe(z.int().min(1).max(MAX_PAGE))
    .optional()
    .describe('default 50'),
})
