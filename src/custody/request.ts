/**
 * Where a request stands. `proposed` and `approved` are the waiting room of quorums; `signed`,
 * `submitted` and `confirmed` belong to requests that we submit ourselves. A PDS submits its own,
 * so through the KMS door a request goes `signing` → `returned`.
 */
export const requestStates = [
  'proposed',
  'approved',
  'signing',
  'signed',
  'returned',
  'submitted',
  'confirmed',
  'denied',
  'rejected',
  'cancelled',
  'expired',
  'superseded',
  'failed',
] as const
export type RequestState = (typeof requestStates)[number]

/** Clocks that are further apart cannot both be right, and expiries are judged by both. */
export const MAX_CLOCKS_APART_MS = 5_000

/** Requests of one caller that may wait for officers at once. */
export const MAX_OPEN_OF_CALLER = 20

/**
 * What the directory said to a submission. Only its log says what came of it: `refused` may mean
 * "accepted before", `unknown` anything.
 */
export const submissionOutcomes = ['accepted', 'refused', 'unknown'] as const
export type SubmissionOutcome = (typeof submissionOutcomes)[number]

/**
 * Whether a claim is still its holder's. The lease outlasts the key's own deadline, so a call that
 * lives can record; one that died is taken over when it ends.
 */
export function leaseLives(request: { readonly leaseUntil: Date | null }, now: Date): boolean {
  return request.leaseUntil !== null && request.leaseUntil > now
}
