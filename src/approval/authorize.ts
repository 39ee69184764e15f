import type { Proof } from '../plc/proof.ts'
import type { SigningBytes } from '../plc/encode.ts'
import type { Decision } from '../policy/evaluate.ts'
import type { KeyConfig } from '../policy/policy-set.ts'

/** Exactly these bytes may be signed with exactly this key, for this request. */
export type Authorized = Proof<
  { readonly requestId: string; readonly bytes: SigningBytes; readonly key: KeyConfig },
  'Authorized'
>

/**
 * The only place where a decision becomes permission to use a key. Quorums join the decision here:
 * a tally of verified approvals will be one more thing that it takes.
 * @throws TypeError when the decision is a denial; callers answer denials before they come here
 */
export function authorize(input: {
  decision: Decision
  requestId: string
  bytes: SigningBytes
  key: KeyConfig
}): Authorized {
  const { decision, requestId, bytes, key } = input
  if (decision.kind !== 'allow' || decision.rules.length === 0) {
    throw new TypeError('a key is used only for what a rule allows')
  }
  return Object.freeze({ requestId, bytes, key }) as Authorized
}
