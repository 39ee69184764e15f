import type { SignedOperation } from '../plc/operation.ts'
import type { Proof } from '../plc/proof.ts'

/** A signed operation that is on record here with its signature: nothing else is ever submitted. */
export type RecordedOperation = Proof<
  {
    readonly requestId: string
    readonly did: string
    readonly cid: string
    readonly operation: SignedOperation
  },
  'RecordedOperation'
>

/** What the directory said. Never the last word: it also refuses what it accepted before. */
export type SubmitOutcome =
  | { readonly kind: 'accepted' }
  /** The words are the directory's: escape them before they are shown. */
  | { readonly kind: 'refused'; readonly status: number; readonly message: string }
  /** No definite answer: it may be in the log or not. */
  | { readonly kind: 'unknown'; readonly cause: unknown }

/** `POST /:did`. Never throws for what the directory answers, or does not; the deadline is the signal's. */
export type SubmitOperation = (
  recorded: RecordedOperation,
  signal: AbortSignal,
) => Promise<SubmitOutcome>
