import type { RequestState } from './request.ts'

export type CancelResult =
  | { readonly kind: 'cancelled' }
  | { readonly kind: 'not-found' }
  /** A key has been used for it, or it has ended: too late. */
  | { readonly kind: 'conflict'; readonly state: RequestState }

/**
 * The caller takes back its own request, before a key is used for it. One transaction with its entry;
 * cancelling what is cancelled changes nothing.
 */
export type Cancel = (input: { caller: string; requestId: string }) => Promise<CancelResult>
