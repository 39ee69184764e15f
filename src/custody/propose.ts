import { ask } from './ask.ts'
import type { Ask, Busy, CustodyDeps, Denied, Malformed, Rejected } from './ask.ts'

export type ProposeResult =
  | { readonly kind: 'proposed'; readonly requestId: string }
  | Malformed
  | Denied
  | Busy
  | Rejected

/** Throws only on our own failure; the same bytes may then be proposed again. */
export type Propose = (input: Ask) => Promise<ProposeResult>

/**
 * Judges an operation and keeps it, without using a key: `approved` when a rule allows it, `proposed`
 * when officers must, or `denied`. The same bytes again are the same request, signed ones too.
 */
export function createPropose(deps: CustodyDeps): Propose {
  return async (input) => {
    const answer = await ask(deps, input, 'propose')
    switch (answer.kind) {
      case 'malformed':
      case 'denied':
      case 'busy':
      case 'proposed':
      case 'rejected':
        return answer
      case 'waiting':
        return { kind: 'proposed', requestId: answer.requestId }
      case 'recorded':
        return { kind: 'proposed', requestId: answer.request.id }
      case 'claimed':
        throw new TypeError('a proposal claims no key')
    }
  }
}
