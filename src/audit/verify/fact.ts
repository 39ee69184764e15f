import type { Requester } from '../../approval/matter.ts'
import type { VerifiedApproval } from '../../approval/verify.ts'
import type { SigningBytes } from '../../plc/encode.ts'
import type { Decision } from '../../policy/evaluate.ts'
import type { Subject } from '../../policy/facts.ts'
import type { AuditEntry } from '../entry.ts'

/** What is wrong with a log; `index` is the entry that shows it, null for the log as a whole. */
export type Finding = { readonly index: number | null; readonly message: string }

/** What officers must agree to before a key is used; by when, and who they are, is told by the log. */
export type Asks = {
  /** Hex of the digest of the policies that ask them. */
  readonly policy: string
  readonly decision: Decision & { readonly kind: 'require' }
  readonly subject: Subject
  readonly bytes: SigningBytes
  readonly requester: Requester
}

/** What the examination of a request's own bytes has shown; the story of the log is told with it. */
export type JudgedFact = {
  readonly kind: 'request.proposed' | 'request.denied'
  readonly request: string
  readonly caller: string
  readonly keyDid: string
  /** Hex of the request digest. */
  readonly digest: string
  readonly prev: string | null
  readonly did: string | null
  readonly standing: {
    readonly owner: string
    readonly ours: boolean
    readonly recordedAt: number
  } | null
  /** null: nobody needs to agree. */
  readonly asks: Asks | null
  /** The unsigned bytes, while the signature over them has not been seen. */
  readonly unsigned: Uint8Array | null
}

/** A signature; `over` is the digest and key that it was verified under, null where they were not at hand. */
export type ProducedFact = Pick<
  AuditEntry & { kind: 'signature.produced' },
  'kind' | 'request' | 'lease' | 'did' | 'cid'
> & {
  /** null once it is verified. */
  readonly signature: Uint8Array | null
  readonly over: { readonly digest: string; readonly keyDid: string } | null
}

/** An intent; `digest` is the hex of it. */
export type IntendedFact = Omit<AuditEntry & { kind: 'signature.intended' }, 'digest'> & {
  readonly digest: string
}

/** What an officer said: who it was is proven by their signature, under a roster that the log has. */
export type SaidFact = {
  readonly kind: 'approval.recorded' | 'rejection.recorded'
  readonly request: string
  readonly approval: VerifiedApproval
}

type Plain = Exclude<
  AuditEntry,
  { kind: (JudgedFact | IntendedFact | ProducedFact | SaidFact)['kind'] }
>

/** One entry as far as it could be judged by itself. */
export type Fact = { readonly index: number } & (
  | { readonly is: 'judged'; readonly at: number; readonly of: JudgedFact }
  | { readonly is: 'intended'; readonly at: number; readonly of: IntendedFact }
  | { readonly is: 'produced'; readonly at: number; readonly of: ProducedFact }
  | { readonly is: 'said'; readonly at: number; readonly of: SaidFact }
  | { readonly is: 'plain'; readonly at: number; readonly of: Plain }
  /** What it was decided under is not known yet: to be examined again by who knows it. */
  | { readonly is: 'deferred'; readonly lacks: string; readonly body: Uint8Array }
  | { readonly is: 'wrong'; readonly message: string }
  /** Of a kind or schema of another time. */
  | { readonly is: 'unknown'; readonly message: string }
)
