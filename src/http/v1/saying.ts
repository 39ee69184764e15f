import { ApprovalError } from '../../approval/error.ts'
import { encodeEvidence } from '../../approval/evidence.ts'
import type { RawApproval } from '../../approval/evidence.ts'
import { evidenceFromText } from '../../approval/evidence-text.ts'
import { saying } from '../../api/request.ts'
import type { SayingBody } from '../../api/request.ts'
import { ProblemError } from '../problem.ts'
import type { Received } from '../received.ts'
import { parseJson } from './body.ts'

/** An officer's statement as it is kept. @throws ProblemError `unsupported-media-type`, `malformed` */
export function parseSaying(request: Received): RawApproval {
  const parsed = saying.safeParse(parseJson(request))
  if (!parsed.success) {
    throw malformed('the body must have "statement" and "evidence" of an officer, and nothing else')
  }
  const { statement, evidence } = parsed.data
  return { statement: statementOf(statement), evidence: encodeEvidence(evidenceOf(evidence)) }
}

function evidenceOf(given: SayingBody['evidence']) {
  try {
    return evidenceFromText(given)
  } catch (error) {
    if (error instanceof ApprovalError) throw malformed(error.message)
    throw error
  }
}

/** One text for one message. */
function statementOf(text: string): Uint8Array {
  const bytes = Buffer.from(text, 'base64')
  if (bytes.toString('base64') !== text) throw malformed('"statement" must be canonical base64')
  return new Uint8Array(bytes)
}

function malformed(detail: string): ProblemError {
  return new ProblemError('malformed', detail)
}
