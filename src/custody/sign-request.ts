import type { KeyConfig } from '../policy/policy-set.ts'
import type { StoredRequest } from './ports.ts'
import type { RequestState } from './request.ts'
import type { SignNow, SignNowResult } from './sign-now.ts'

/** What is signed of a kept request: its own bytes, never something that is sent along. */
export type KeptRequest = Pick<StoredRequest, 'state' | 'keyId' | 'unsigned'>

export type FindKeptRequest = (query: {
  readonly caller: string
  readonly requestId: string
}) => Promise<KeptRequest | null>

export type SignRequestResult =
  | SignNowResult
  /** The caller has no such request, or may no longer use its key. */
  | { readonly kind: 'not-found' }
  /** It has ended without a signature, or its signature was replaced. */
  | { readonly kind: 'conflict'; readonly state: RequestState }

export type SignRequest = (input: {
  readonly caller: string
  readonly requestId: string
  /** The keys that the caller may use. */
  readonly keys: readonly KeyConfig[]
}) => Promise<SignRequestResult>

/** Signs a request that was proposed, or gives its signature again. The rules judge it once more. */
export function createSignRequest(deps: {
  readonly find: FindKeptRequest
  readonly signNow: SignNow
}): SignRequest {
  return async ({ caller, requestId, keys }) => {
    const request = await deps.find({ caller, requestId })
    const key = keys.find(
      ({ id, class: keyClass }) => id === request?.keyId && keyClass === 'online',
    )
    if (request === null || key === undefined) return { kind: 'not-found' }
    switch (request.state) {
      // A status is for finding it: whether officers agree is judged from what they signed.
      case 'proposed':
      case 'approved':
      case 'signing':
      case 'signed':
      case 'returned':
      case 'submitted':
      case 'confirmed':
        return await deps.signNow({ caller, key, message: request.unsigned })
      // The same bytes may be proposed again; that is another request.
      case 'denied':
      case 'rejected':
      case 'cancelled':
      case 'expired':
      case 'superseded':
      case 'failed':
        return { kind: 'conflict', state: request.state }
    }
  }
}
