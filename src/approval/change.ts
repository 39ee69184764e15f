import { hash } from 'node:crypto'
import { z } from 'zod'
import { decodePolicySet, policySetBytes } from '../policy/canonical.ts'
import { compare } from '../policy/compare.ts'
import { PolicyError } from '../policy/error.ts'
import { decodeRoster, rosterBytes } from '../policy/parse/roster.ts'
import type { PolicySet } from '../policy/policy-set.ts'
import type { Roster } from '../policy/roster.ts'
import { ActRefused, weighAct } from './act.ts'
import type { AskedAct } from './act.ts'
import { ApprovalError } from './error.ts'
import { jsonOf } from './json.ts'
import type { VerifiedApproval } from './verify.ts'
import type { Clocks } from './weigh.ts'

const sha256 = z.string().regex(/^[0-9a-f]{64}$/)
const base64 = z.base64().max(120_000)
const inForce = z.strictObject({
  policies: sha256,
  roster: z.strictObject({ epoch: z.int().min(1), digest: sha256 }).nullable(),
})

const requestSchema = z.strictObject({
  format: z.literal('holdfast/change/v1'),
  env: z.enum(['dev', 'prod']),
  audience: z.string().min(1).max(256),
  made: z.iso.datetime(),
  proposer: z.string().max(63).nullable(),
  /** Which change of the trust record it will be: approved once, it happens once. */
  sequence: z.int().min(2),
  from: inForce,
  to: inForce,
  /** SHA-256 of what it changes, in the words that officers read. */
  says: sha256,
})

/** That other policies or officers come into force, by the digests of both. */
export type ChangeRequest = z.infer<typeof requestSchema>

const bytesOfSet = z.strictObject({ policies: base64, roster: base64.nullable() })
const fileSchema = z.strictObject({
  request: requestSchema,
  from: bytesOfSet,
  to: bytesOfSet,
})

/** A request with both policy sets, each of the digest that the request names. */
export type Change = {
  readonly request: ChangeRequest
  readonly from: PolicySet
  readonly to: PolicySet
  /** What it changes, a line each; what passes by less comes first. */
  readonly says: readonly string[]
}

/** @throws RangeError where there are too many value sets to compare */
export function proposeChange(asked: {
  readonly from: PolicySet
  readonly to: PolicySet
  readonly audience: string
  readonly made: Date
  readonly proposer: string | null
  readonly sequence: number
}): Change {
  const { from, to, audience, made, proposer, sequence } = asked
  const says = linesOf(from, to)
  const request: ChangeRequest = {
    format: 'holdfast/change/v1',
    env: from.env,
    audience,
    made: made.toISOString(),
    proposer,
    sequence,
    from: digestsOf(from),
    to: digestsOf(to),
    says: digestOfLines(says),
  }
  return { request, from, to, says }
}

/** As a file that goes to the officers, each of whom recomputes it from both sets. */
export function renderChange({ request, from, to }: Change): string {
  const content = { request, from: bytesOf(from), to: bytesOf(to) } satisfies z.infer<
    typeof fileSchema
  >
  return `${JSON.stringify(content, null, 2)}\n`
}

/** Only what follows from its own bytes. @throws ApprovalError `malformed` */
export function parseChange(text: string, file: string): Change {
  const parsed = fileSchema.safeParse(jsonOf(text))
  if (!parsed.success) throw malformed(file, 'not a proposed change')
  const { request } = parsed.data
  const [from, to] = [setOf(parsed.data.from, file), setOf(parsed.data.to, file)]
  const change = { request, from, to, says: linesOf(from, to) }
  if (renderChange(change) !== text) throw malformed(file, 'not written as a proposed change is')
  if (!isOf(request.from, from)) throw malformed(file, 'from has another digest')
  if (!isOf(request.to, to)) throw malformed(file, 'to has another digest')
  if (digestOfLines(change.says) !== request.says) {
    throw malformed(file, 'what it says it changes is not what it changes')
  }
  return change
}

/** The one text of a request; officers approve its SHA-256. It is their display too: `says` is in it. */
export function renderChangeRequest(request: ChangeRequest): string {
  return `${JSON.stringify(request, null, 2)}\n`
}

/** Only the one text. @throws ApprovalError `malformed` */
export function parseChangeRequest(text: string): ChangeRequest {
  const parsed = requestSchema.safeParse(jsonOf(text))
  if (parsed.success && renderChangeRequest(parsed.data) === text) return parsed.data
  throw malformed('request', 'not written as a request for a change is')
}

/** SHA-256, 32 bytes. */
export function changeDigest(request: ChangeRequest): Uint8Array {
  return new Uint8Array(hash('sha256', renderChangeRequest(request), 'buffer'))
}

/** Other policies and other officers are two acts: what both ask for must be there. */
export function changeAct(request: ChangeRequest): AskedAct {
  const { env, audience, proposer, made, from, to } = request
  const policy = { class: 'policy', key: 'none' } as const
  const roster = { class: 'roster', key: 'none' } as const
  const samePolicies = from.policies === to.policies
  const sameRoster = from.roster?.digest === to.roster?.digest
  return {
    env,
    audience,
    subject: samePolicies ? 'roster' : 'policy',
    request: changeDigest(request),
    key: null,
    proposer,
    made: new Date(made),
    display: renderChangeRequest(request),
    acts: samePolicies ? [roster] : sameRoster ? [policy] : [policy, roster],
  }
}

/**
 * That the officers in force agree to other policies or officers: by what is in force, never by what is to come.
 * @param input.policies in force, with its officers
 * @returns who approved it @throws ActRefused
 */
export function weighChange(
  request: ChangeRequest,
  input: {
    readonly policies: PolicySet
    readonly roster: Roster
    readonly approvals: readonly VerifiedApproval[]
    readonly clocks: Clocks
  },
): readonly string[] {
  if (!isOf(request.from, { ...input.policies, roster: input.roster })) {
    throw new ActRefused('it changes something else than what is in force')
  }
  if (request.to.roster === null) throw new ActRefused('a log that has officers keeps officers')
  const { approvers } = weighAct(changeAct(request), input)
  // Where there are officers, nothing of theirs changes by nobody's word.
  if (approvers.length === 0) throw new ActRefused('no rule asks for a quorum to change this')
  return approvers
}

type InForce = z.infer<typeof inForce>

function digestsOf({ digest, roster }: Parameters<typeof isOf>[1]): InForce {
  return {
    policies: hex(digest),
    roster: roster === null ? null : { epoch: roster.epoch, digest: hex(roster.digest) },
  }
}

/** Whether these digests are those of the set with its officers. */
export function isOf(
  named: InForce,
  set: {
    readonly digest: Uint8Array
    readonly roster: Pick<Roster, 'epoch' | 'digest'> | null
  },
): boolean {
  const { policies, roster } = digestsOf(set)
  return (
    named.policies === policies &&
    named.roster?.epoch === roster?.epoch &&
    named.roster?.digest === roster?.digest
  )
}

function linesOf(from: PolicySet, to: PolicySet): string[] {
  return compare(from, to).map(({ direction, text }) => `${direction}: ${text}`)
}

const digestOfLines = (lines: readonly string[]) => hash('sha256', lines.join('\n'), 'hex')

function bytesOf(set: PolicySet): z.infer<typeof bytesOfSet> {
  const encode = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64')
  return {
    policies: encode(policySetBytes(set)),
    roster: set.roster === null ? null : encode(rosterBytes(set.roster)),
  }
}

function setOf({ policies, roster }: z.infer<typeof bytesOfSet>, file: string): PolicySet {
  const decode = (text: string) => new Uint8Array(Buffer.from(text, 'base64'))
  try {
    const set = decodePolicySet(decode(policies))
    return { ...set, roster: roster === null ? null : decodeRoster(decode(roster)) }
  } catch (cause) {
    if (!(cause instanceof PolicyError)) throw cause
    throw malformed(file, cause.message)
  }
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

function malformed(file: string, reason: string): ApprovalError {
  return new ApprovalError('malformed', `${file}: ${reason}`)
}
