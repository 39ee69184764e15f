import { encodeEvidence } from '../../approval/evidence.ts'
import type { Evidence, RawApproval } from '../../approval/evidence.ts'
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
  return {
    statement: bytesOf('statement', statement, 'base64'),
    evidence: encodeEvidence(evidenceOf(evidence)),
  }
}

function evidenceOf(given: SayingBody['evidence']): Evidence {
  const bytes = (name: string, text: string) => bytesOf(name, text, 'base64url')
  const signature = bytes('signature', given.signature)
  if (given.kind === 'did:key') return { ...given, signature }
  return {
    ...given,
    signature,
    clientDataJSON: bytes('clientDataJSON', given.clientDataJSON),
    authenticatorData: bytes('authenticatorData', given.authenticatorData),
  }
}

/** One text for one message. */
function bytesOf(name: string, text: string, encoding: 'base64' | 'base64url'): Uint8Array {
  const bytes = Buffer.from(text, encoding)
  if (bytes.toString(encoding) !== text) throw malformed(`"${name}" must be canonical ${encoding}`)
  return new Uint8Array(bytes)
}

function malformed(detail: string): ProblemError {
  return new ProblemError('malformed', detail)
}
