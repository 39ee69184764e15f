import type { CallerConfig, Requirement } from '../policy/policy-set.ts'
import { personsIn } from '../policy/quorum.ts'
import { credentialDid, mayApprove, personOf } from '../policy/roster.ts'
import type { Credential, Roster } from '../policy/roster.ts'
import { requesterText, statementOf } from './matter.ts'
import type { Matter } from './matter.ts'
import { tally } from './quorum.ts'
import type { Lacking } from './quorum.ts'
import { encodeStatement } from './statement.ts'
import type { VerifiedApproval } from './verify.ts'

/** The instance's own clock and Postgres's: what has an end has ended when either says so. */
export type Clocks = { readonly instance: Date; readonly database: Date }

/** Where there is one clock only: in the room, and in a log. Nobody else vouches for it. */
export const oneClock = (now: Date): Clocks => ({ instance: now, database: now })

/** An officer's clock may be ahead of ours by so much, in seconds. */
export const CLOCK_TOLERANCE = 5

export type WeighInput = {
  readonly matter: Matter
  readonly requirements: readonly Requirement[]
  readonly approvals: readonly VerifiedApproval[]
  /** The officers of today. */
  readonly roster: Roster | null
  readonly callers: readonly CallerConfig[]
  readonly clocks: Clocks
}

/** Why an approval counts for nothing. */
export type Void = { readonly person: string; readonly reason: string }

export type Weighed = { readonly voids: readonly Void[] } & (
  | { readonly kind: 'met' }
  | { readonly kind: 'waiting'; readonly missing: readonly Lacking[] }
  /** The quorum is there; nobody may sign before `until` (Unix seconds). */
  | { readonly kind: 'delayed'; readonly until: number }
  | { readonly kind: 'rejected'; readonly by: string }
  | { readonly kind: 'expired'; readonly expiry: 'approveBy' | 'executeBy' }
)

/**
 * What approvals and rejections come to, at this moment, for this matter. Of their order nothing
 * depends: a rejection wins wherever it stands, and one more valid approval takes nothing away.
 */
export function weigh(input: WeighInput): Weighed {
  const { matter, requirements, approvals, clocks } = input
  const rejection = approvals.find((approval) => isRejectionOf(matter, approval))
  if (rejection !== undefined) return { kind: 'rejected', by: rejection.person.id, voids: [] }
  const excluded = excludedBy(input)
  const { counting, voids } = sortOut(input, excluded)
  const { met, missing } = tally({
    requirements,
    approvals: counting,
    roster: input.roster,
    excluded,
  })
  const { approveBy, delay, within } = matter.terms
  if (!met) {
    const late = latest(clocks) >= approveBy
    return late
      ? { kind: 'expired', expiry: 'approveBy', voids }
      : { kind: 'waiting', missing, voids }
  }
  const moments = counting.map(({ statement }) => statement.notBefore).sort((a, b) => a - b)
  // The last approval starts the time for signing, the first complete quorum the delay.
  if (latest(clocks) >= moments.at(-1)! + delay + within) {
    return { kind: 'expired', expiry: 'executeBy', voids }
  }
  const until = quorumAt(moments, { ...input, approvals: counting }, excluded) + delay
  if (delay > 0 && earliest(clocks) < until) return { kind: 'delayed', until, voids }
  return { kind: 'met', voids }
}

function quorumAt(
  moments: readonly number[],
  { requirements, approvals, roster }: WeighInput,
  excluded: ReadonlySet<string>,
): number {
  const enough = moments.find((moment) => {
    const until = approvals.filter(({ statement }) => statement.notBefore <= moment)
    return tally({ requirements, approvals: until, roster, excluded }).met
  })
  if (enough === undefined) throw new TypeError('a quorum that is met was met at some moment')
  return enough
}

/** Whoever asked, and whoever runs the program that asked, never approve it. There is no switch. */
function excludedBy({ matter, callers }: WeighInput): ReadonlySet<string> {
  const { requester } = matter
  if (requester.kind === 'person') return new Set([requester.id])
  const caller = callers.find(({ name }) => name === requester.name)
  return new Set(caller?.operatedBy ?? [])
}

/**
 * A rejection has no end, and outlives the officer's place in the roster; so it is bound to this one
 * request by no more than its bytes, its requester, and when it was asked for.
 */
function isRejectionOf(matter: Matter, { statement, person }: VerifiedApproval): boolean {
  return (
    statement.decision === 'reject' &&
    mayApprove(person) &&
    statement.env === matter.env &&
    statement.audience === matter.audience &&
    statement.subject === matter.subject &&
    Buffer.compare(statement.request, matter.request) === 0 &&
    statement.requester === requesterText(matter.requester) &&
    statement.approveBy === matter.terms.approveBy
  )
}

function sortOut(
  input: WeighInput,
  excluded: ReadonlySet<string>,
): { counting: VerifiedApproval[]; voids: Void[] } {
  const counting: VerifiedApproval[] = []
  const voids: Void[] = []
  const ordered = input.approvals
    .filter(({ statement }) => statement.decision === 'approve')
    .sort((a, b) => Buffer.compare(a.raw.statement, b.raw.statement))
  const nonces = new Set<string>()
  const members = new Set(input.requirements.flatMap(({ quorum }) => personsIn(quorum)))
  for (const approval of ordered) {
    const nonce = Buffer.from(approval.statement.nonce).toString('hex')
    const reason =
      (nonces.has(nonce) ? 'its nonce was used before' : null) ??
      whyNobody(approval.person.id, members, excluded) ??
      whyVoid(input, approval)
    if (reason !== null) {
      voids.push({ person: approval.person.id, reason })
      continue
    }
    counting.push(approval)
    nonces.add(nonce)
  }
  return { counting, voids }
}

function whyNobody(
  id: string,
  members: ReadonlySet<string>,
  excluded: ReadonlySet<string>,
): string | null {
  if (excluded.has(id)) return 'its signer asked for this, or operates the program that did'
  return members.has(id) ? null : 'its signer is in no quorum of these rules'
}

function whyVoid(input: WeighInput, approval: VerifiedApproval): string | null {
  const { matter, roster, clocks } = input
  const { statement, credential } = approval
  // One comparison for every field: what was signed is what would be signed now, or it counts for nothing.
  const expected = encodeStatement(statementOf(matter, statement))
  if (Buffer.compare(expected, approval.raw.statement) !== 0) return 'it is about something else'
  const person = roster === null ? null : personOf(roster, approval.person.id)
  if (!mayApprove(approval.person) || person === null || !mayApprove(person)) {
    return 'its signer is no officer'
  }
  if (statement.role !== 'officer') return 'it was not made as an officer'
  if (!person.credentials.some((now) => isSameCredential(now, credential))) {
    return 'its credential is no longer in the roster'
  }
  const { notBefore } = statement
  if (notBefore > earliest(clocks) + CLOCK_TOLERANCE) return 'it was signed in the future'
  if (notBefore >= matter.terms.approveBy) return 'it was signed too late'
  const lives = (at: number) => credential.from <= at && at < credential.until
  return lives(notBefore) && lives(latest(clocks)) ? null : 'its credential is not valid'
}

function isSameCredential(left: Credential, right: Credential): boolean {
  return (
    left.id === right.id && left.kind === right.kind && credentialDid(left) === credentialDid(right)
  )
}

const seconds = (date: Date): number => Math.floor(date.getTime() / 1000)
const latest = ({ instance, database }: Clocks) => Math.max(seconds(instance), seconds(database))
const earliest = ({ instance, database }: Clocks) => Math.min(seconds(instance), seconds(database))
