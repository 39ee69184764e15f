import type { TrustCard } from '../audit/trust-card.ts'
import { ActRefused, actMatter, weighAct } from '../approval/act.ts'
import type { AskedAct } from '../approval/act.ts'
import type { Matter } from '../approval/matter.ts'
import type { VerifiedApproval } from '../approval/verify.ts'
import { oneClock } from '../approval/weigh.ts'
import type { Proof } from '../plc/proof.ts'
import { quoteText } from '../plc/text.ts'
import { decodePolicySet } from '../policy/canonical.ts'
import { decodeRoster } from '../policy/parse/roster.ts'
import type { PolicySet } from '../policy/policy-set.ts'
import { personOf } from '../policy/roster.ts'
import type { Roster } from '../policy/roster.ts'
import { POLICIES_FILE, ROSTER_FILE } from './bundle.ts'
import { RecoveryError } from './error.ts'
import { INTENT_FILE, intentDigest } from './intent.ts'
import type { Intent } from './intent.ts'

/** An intent that is for what the trust card names, with the policies and officers that the card names. */
export type TrustedIntent = Proof<
  {
    readonly intent: Intent
    readonly digest: Uint8Array
    readonly policies: PolicySet
    readonly roster: Roster | null
  },
  'TrustedIntent'
>

/** An intent to which everybody has agreed whom its policies ask: only for one of these a key is opened. */
export type ApprovedIntent = Proof<
  {
    readonly trusted: TrustedIntent
    /** Rules that allow it. */
    readonly rules: readonly string[]
    /** Persons whose approval counted. */
    readonly approvers: readonly string[]
  },
  'ApprovedIntent'
>

/**
 * @param files.policies canonical bytes @param files.roster canonical bytes; null where the bundle has none
 * @throws RecoveryError `not-trusted`, naming what is another than the card says; PolicyError
 */
export function trustIntent(
  intent: Intent,
  card: TrustCard,
  files: { readonly policies: Uint8Array; readonly roster: Uint8Array | null },
): TrustedIntent {
  const { ceremony } = card
  if (ceremony === null) throw new RecoveryError('not-trusted', 'the trust card is for no ceremony')
  const named = [
    ['env', intent.env, ceremony.env],
    ['recovery', intent.recovery, ceremony.recovery],
    ['roster', intent.roster ?? 'none', ceremony.roster ?? 'none'],
  ] as const
  for (const [field, found, trusted] of named) {
    if (found !== trusted) throw notTrusted(INTENT_FILE, field, found, trusted)
  }
  const [trusted, ...others] = card.policies ?? []
  if (trusted === undefined || others.length > 0) {
    throw new RecoveryError('not-trusted', 'the trust card must name one set of policies')
  }
  if (intent.policies !== trusted)
    throw notTrusted(INTENT_FILE, 'policies', intent.policies, trusted)
  const policies = decodePolicySet(files.policies)
  if (hex(policies.digest) !== trusted) {
    throw notTrusted(POLICIES_FILE, 'its digest', hex(policies.digest), trusted)
  }
  const roster = files.roster === null ? null : decodeRoster(files.roster)
  const rosterDigest = roster === null ? 'none' : hex(roster.digest)
  if (rosterDigest !== (ceremony.roster ?? 'none')) {
    throw notTrusted(ROSTER_FILE, 'its digest', rosterDigest, ceremony.roster ?? 'none')
  }
  return Object.freeze({ intent, digest: intentDigest(intent), policies, roster }) as TrustedIntent
}

/**
 * Everything an officer approves of a ceremony, computed from the intent alone.
 * @returns null where the policies ask nobody
 * @throws RecoveryError `not-approved` when they allow it to nobody
 */
export function ceremonyMatter(trusted: TrustedIntent): Matter | null {
  return orNotApproved(() => actMatter(askedBy(trusted), trusted.policies))
}

/**
 * Judges the approvals that came with a bundle, by the same code as the service.
 * @param now of this machine, which nobody vouches for
 * @throws RecoveryError `not-approved`, saying who is missing
 */
export function approveIntent(
  trusted: TrustedIntent,
  { approvals, now }: { readonly approvals: readonly VerifiedApproval[]; readonly now: Date },
): ApprovedIntent {
  const { policies, roster } = trusted
  const agreed = orNotApproved(() =>
    weighAct(askedBy(trusted), { policies, roster, approvals, clocks: oneClock(now) }),
  )
  return Object.freeze({ trusted, ...agreed }) as unknown as ApprovedIntent
}

function askedBy({ intent, digest }: TrustedIntent): AskedAct {
  return {
    env: intent.env,
    audience: intent.audience,
    subject: 'ceremony',
    request: digest,
    key: intent.recovery,
    proposer: intent.planner,
    made: new Date(intent.made),
    display: renderIntent(intent),
    acts: [
      { class: 'ceremony', key: 'recovery' },
      {
        class: 'update',
        key: 'recovery',
        changes: ['rotationKeys.add', 'rotationKeys.remove.online'],
      },
    ],
  }
}

function orNotApproved<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (error instanceof ActRefused) throw notApproved(error.message)
    throw error
  }
}

/**
 * Who runs the ceremony must be as many as the policies say, with the role of operators, and nobody who
 * has approved it where the policies keep these apart. Without officers nobody is asked for.
 * @throws RecoveryError `not-approved`
 */
export function checkOperators(
  { trusted: { policies, roster }, approvers }: ApprovedIntent,
  operators: readonly string[],
): void {
  if (roster === null || policies.ceremony === null) {
    if (operators.length > 0) throw notApproved('there are no officers, so no operator is named')
    return
  }
  const { operators: needed, approversMayOperate } = policies.ceremony
  if (new Set(operators).size !== needed || operators.length !== needed) {
    throw notApproved(`it needs ${needed} different operators (--operator ID)`)
  }
  for (const id of operators) {
    const person = personOf(roster, id)
    if (person?.status !== 'active' || !person.roles.includes('operator')) {
      throw notApproved(`${quoteText(id)} is no operator in the roster`)
    }
    if (!approversMayOperate && approvers.includes(id)) {
      throw notApproved(`${id} has approved it, and who approves does not operate`)
    }
  }
}

/** The text that an officer approves: every field of the intent, a line each. */
export function renderIntent(intent: Intent): string {
  const lines = Object.entries(intent).map(([name, value]) => `${name}: ${JSON.stringify(value)}`)
  return lines.map((line) => `${line}\n`).join('')
}

function notTrusted(file: string, field: string, found: string, trusted: string): RecoveryError {
  return new RecoveryError(
    'not-trusted',
    `${file}: ${field} is ${found}; the trust card says ${trusted}`,
  )
}

function notApproved(why: string): RecoveryError {
  return new RecoveryError('not-approved', `the ceremony is not approved: ${why}`)
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
