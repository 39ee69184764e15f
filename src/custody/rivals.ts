import type { Finding } from '../policy/finding.ts'
import type { ClaimSnapshot, Observation, StoredRequest } from './ports.ts'
import { leaseLives } from './request.ts'

/** How long a recorded signature keeps its `prev` to itself, in milliseconds. */
export const SIGNATURE_STANDS_MS = 60_000

export type RivalVerdict =
  | { readonly kind: 'deny'; readonly finding: Finding }
  | {
      readonly kind: 'go-on'
      readonly mustRead: boolean
      readonly supersedes: readonly StoredRequest[]
    }

/**
 * One live signature for one `prev`. Two signed operations on one `prev` are two futures of one
 * identity, and whoever holds both chooses. So another one is signed only when the first has had
 * its time, and the directory, read after that time, still shows `prev` as head; from then on the
 * first is never handed out again.
 */
export function judgeRivals(
  snapshot: ClaimSnapshot,
  replaced: StoredRequest | undefined,
  observed: Observation | null,
): RivalVerdict {
  const live = snapshot.rivals.filter((rival) => rival.state !== 'superseded')
  if (replaced !== undefined) return deny(replacedFinding(replaced, live[0]))
  let mustRead = false
  for (const rival of snapshot.rivals) {
    if (rival.producedAt === null) {
      if (leaseLives(rival, snapshot.now)) return deny(liveFinding(rival, 'is being signed for it'))
      continue
    }
    if (rival.prev === null) return deny(genesisFinding(rival))
    const standsUntil = rival.producedAt.getTime() + SIGNATURE_STANDS_MS
    if (snapshot.now.getTime() < standsUntil) return deny(liveFinding(rival, 'was signed for it'))
    mustRead ||= observed === null || observed.begunAt.getTime() < standsUntil
  }
  return { kind: 'go-on', mustRead, supersedes: live }
}

/** No directory could say which of two it will take: they would be two identities, or one twice. */
function genesisFinding(rival: StoredRequest): Finding {
  return {
    rule: 'PREV-ONE-LIVE-SIGNATURE',
    message: `these bytes were signed as a genesis before (request ${rival.id})`,
  }
}

function liveFinding(rival: StoredRequest, what: string): Finding {
  return {
    rule: 'PREV-ONE-LIVE-SIGNATURE',
    message:
      `another operation on this prev ${what} (request ${rival.id}); ` +
      `ask again ${SIGNATURE_STANDS_MS / 1000} seconds after its signature if it never reaches the directory`,
  }
}

function replacedFinding(replaced: StoredRequest, by: StoredRequest | undefined): Finding {
  const successor = by === undefined ? '' : ` by request ${by.id}`
  return {
    rule: 'PREV-ONE-LIVE-SIGNATURE',
    message: `the signature of these bytes (request ${replaced.id}) was replaced${successor} and is never handed out again`,
  }
}

const deny = (finding: Finding): RivalVerdict => ({ kind: 'deny', finding })
