import type { ApprovalView, SayingBody } from '../../api/request.ts'
import { decodeEvidence } from '../../approval/evidence.ts'
import type { RawApproval } from '../../approval/evidence.ts'
import { evidenceToText } from '../../approval/evidence-text.ts'
import { displayDigest, requesterText } from '../../approval/matter.ts'
import type { ShownAsked } from '../../custody/show-asked.ts'
import { digestWords } from '../../words/words.ts'

/** How many words people compare: 88 bits. */
const WORDS = 8

/** What officers are asked, as `/v1` shows it. */
export function showApproval(shown: ShownAsked): ApprovalView {
  const { matter, requester, roster, standing, until, missing, said } = shown
  const { approveBy, executeBy, delay, within } = matter.terms
  return {
    requester: requesterText(requester),
    env: matter.env,
    audience: matter.audience,
    keyDid: matter.key,
    head: matter.head,
    nullifies: [...matter.nullifies],
    policy: { rules: [...matter.policy.rules], digest: hex(matter.policy.digest) },
    roster: { epoch: roster.epoch, digest: hex(roster.digest) },
    approveBy,
    executeBy,
    delay,
    within,
    display: matter.display,
    words: digestWords(displayDigest(matter.display), WORDS).join(' '),
    standing,
    until,
    missing: [...missing],
    said: said.map(({ raw, ...rest }) => ({ ...rest, saying: showSaying(raw) })),
  }
}

function showSaying({ statement, evidence }: RawApproval): SayingBody {
  return {
    statement: Buffer.from(statement).toString('base64'),
    evidence: evidenceToText(decodeEvidence(evidence)),
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
