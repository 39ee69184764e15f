import type { AuditEntry } from '../entry.ts'

/** What is wrong with a log; `index` is the entry that shows it, null for the log as a whole. */
export type Finding = { readonly index: number | null; readonly message: string }

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
  /** Officers must have agreed before its key is used. */
  readonly needsApproval: boolean
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

type Plain = Exclude<
  AuditEntry,
  { kind: 'request.proposed' | 'request.denied' | 'signature.produced' }
>

/** One entry as far as it could be judged by itself. */
export type Fact = { readonly index: number } & (
  | { readonly is: 'judged'; readonly at: number; readonly of: JudgedFact }
  | { readonly is: 'produced'; readonly at: number; readonly of: ProducedFact }
  | { readonly is: 'plain'; readonly at: number; readonly of: Plain }
  /** The policies it was decided under are not known yet: to be examined again by who knows them. */
  | { readonly is: 'deferred'; readonly policy: string; readonly body: Uint8Array }
  | { readonly is: 'wrong'; readonly message: string }
  /** Of a kind or schema of another time. */
  | { readonly is: 'unknown'; readonly message: string }
)
