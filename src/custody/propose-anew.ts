import { decodeUnsignedOperation } from '../plc/encode.ts'
import { PlcError } from '../plc/error.ts'
import type { PolicySet } from '../policy/policy-set.ts'
import type { RequestStore } from './ports.ts'
import type { Propose, ProposeResult } from './propose.ts'

/** An officer asks for an operation of an identity in care, in the place of its caller. */
export type ProposeAnew = (input: {
  readonly officer: string
  readonly keyId: string
  readonly message: Uint8Array
}) => Promise<ProposeResult | { readonly kind: 'not-found' }>

/**
 * After a rejection only a person can ask for the same change again. It is asked for as the caller to
 * whom the identity belongs, and judged as if that one had asked; but the officer does not approve it.
 */
export function createProposeAnew(deps: {
  readonly store: Pick<RequestStore, 'findOperation'>
  readonly policies: PolicySet
  readonly propose: Propose
}): ProposeAnew {
  return async ({ officer, keyId, message }) => {
    const { prev, malformed } = read(message)
    if (malformed !== undefined) return { kind: 'malformed', message: malformed }
    const previous = prev === null ? null : await deps.store.findOperation(prev)
    const caller = deps.policies.callers.find(({ name }) => name === previous?.owner)
    const granted = caller?.keys.includes(keyId) === true
    const key = deps.policies.keys.find(
      ({ id, class: keyClass }) => granted && id === keyId && keyClass === 'online',
    )
    if (caller === undefined || key === undefined) return { kind: 'not-found' }
    return await deps.propose({ caller: caller.name, key, message, officer })
  }
}

function read(message: Uint8Array): { prev: string | null; malformed?: string } {
  try {
    return { prev: decodeUnsignedOperation(message).operation.prev }
  } catch (error) {
    if (error instanceof PlcError) return { prev: null, malformed: error.message }
    throw error
  }
}
