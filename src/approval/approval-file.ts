import { z } from 'zod'
import { ApprovalError } from './error.ts'
import { jsonOf } from './json.ts'
import { MAX_EVIDENCE_BYTES } from './evidence.ts'
import type { RawApproval } from './evidence.ts'
import { MAX_STATEMENT_BYTES } from './statement.ts'

const base64url = z.string().regex(/^[A-Za-z0-9_-]+$/)

const schema = z.strictObject({
  format: z.literal('holdfast/approval-file/v1'),
  statement: base64url.max(MAX_STATEMENT_BYTES * 2),
  evidence: base64url.max(MAX_EVIDENCE_BYTES * 2),
})

/** What an officer said, as a file that goes from hand to hand: bytes that are verified whenever they count. */
export function renderApprovalFile({ statement, evidence }: RawApproval): string {
  const content = {
    format: 'holdfast/approval-file/v1',
    statement: Buffer.from(statement).toString('base64url'),
    evidence: Buffer.from(evidence).toString('base64url'),
  } satisfies z.infer<typeof schema>
  return `${JSON.stringify(content, null, 2)}\n`
}

/** Only the one text of what it says. @throws ApprovalError `malformed` */
export function parseApprovalFile(text: string, file: string): RawApproval {
  const parsed = schema.safeParse(jsonOf(text))
  if (parsed.success) {
    const approval = {
      statement: new Uint8Array(Buffer.from(parsed.data.statement, 'base64url')),
      evidence: new Uint8Array(Buffer.from(parsed.data.evidence, 'base64url')),
    }
    if (renderApprovalFile(approval) === text) return approval
  }
  throw new ApprovalError('malformed', `${file}: is not written as an approval is`)
}
