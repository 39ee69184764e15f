import type { Requirement } from '../policy/policy-set.ts'
import type { Roster } from '../policy/roster.ts'
import { sha256 } from './statement.ts'
import type { Statement } from './statement.ts'

/** Who asked for something: a program of `callers.yaml`, or an officer. */
export type Requester =
  | { readonly kind: 'caller'; readonly name: string }
  | { readonly kind: 'person'; readonly id: string }

/**
 * What is to be approved, all of it computed anew by whoever signs, judges or audits, and nothing
 * taken from a statement about it.
 */
export type Matter = {
  readonly env: Statement['env']
  readonly audience: string
  readonly subject: Statement['subject']
  /** SHA-256 of the exact bytes. */
  readonly request: Uint8Array
  readonly key: string | null
  readonly head: string | null
  readonly nullifies: readonly string[]
  readonly requester: Requester
  readonly policy: { readonly rules: readonly string[]; readonly digest: Uint8Array }
  readonly terms: Terms
  /** The text that officers read before they sign. */
  readonly display: string
}

/** By when, in Unix seconds and seconds. */
export type Terms = {
  readonly approveBy: number
  readonly executeBy: number
  /** From the quorum to the first moment of signing. */
  readonly delay: number
  /** From the end of the delay to the last. */
  readonly within: number
}

/** What the strictest of several requirements asks for. */
export function termsOf(requirements: readonly Requirement[], proposedAt: Date): Terms {
  const start = Math.floor(proposedAt.getTime() / 1000)
  const least = (of: (requirement: Requirement) => number) => Math.min(...requirements.map(of))
  const delay = Math.max(0, ...requirements.map((requirement) => requirement.delay))
  const within = least(({ executeBy }) => executeBy)
  const approveBy = start + least((requirement) => requirement.approveBy)
  return { approveBy, executeBy: approveBy + delay + within, delay, within }
}

/** What of a statement is its signer's own. */
export type Signatory = Pick<
  Statement,
  'decision' | 'person' | 'credential' | 'role' | 'notBefore' | 'nonce'
> & { readonly roster: Pick<Roster, 'epoch' | 'digest'> }

/** The one statement that this signatory can make of this matter. */
export function statementOf(matter: Matter, signatory: Signatory): Statement {
  const { decision, person, credential, role, notBefore, nonce, roster } = signatory
  return {
    env: matter.env,
    audience: matter.audience,
    subject: matter.subject,
    request: matter.request,
    key: matter.key,
    head: matter.head,
    nullifies: [...matter.nullifies],
    decision,
    person,
    credential,
    role,
    requester: requesterText(matter.requester),
    roster: { epoch: roster.epoch, digest: roster.digest },
    policy: { rules: [...matter.policy.rules], digest: matter.policy.digest },
    notBefore,
    approveBy: matter.terms.approveBy,
    executeBy: matter.terms.executeBy,
    nonce,
    display: displayDigest(matter.display),
  }
}

export function displayDigest(display: string): Uint8Array {
  return sha256(Buffer.from(display, 'utf8'))
}

export function requesterText(requester: Requester): string {
  return requester.kind === 'caller' ? `caller:${requester.name}` : `person:${requester.id}`
}

/** @returns null for any other text */
export function parseRequester(text: string): Requester | null {
  const [, kind, name = ''] = /^(caller|person):([a-z0-9][a-z0-9-]{0,62})$/.exec(text) ?? []
  if (kind === 'caller') return { kind, name }
  return kind === 'person' ? { kind, id: name } : null
}
