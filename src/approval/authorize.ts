import type { Proof } from '../plc/proof.ts'
import type { SigningBytes } from '../plc/encode.ts'
import type { Decision } from '../policy/evaluate.ts'
import type { KeyConfig } from '../policy/policy-set.ts'
import { sha256 } from './statement.ts'
import { weigh } from './weigh.ts'
import type { WeighInput } from './weigh.ts'

/** Exactly these bytes may be signed with exactly this key, for this request. */
export type Authorized = Proof<
  { readonly requestId: string; readonly bytes: SigningBytes; readonly key: KeyConfig },
  'Authorized'
>

/** What officers said, and what it is to be weighed against. */
export type Agreement = Omit<WeighInput, 'requirements'>

/**
 * The only place where a decision becomes permission to use a key: by itself where a rule allows, with
 * the agreement of officers where rules require it. No status of anything is believed here: the matter
 * is what the caller has just computed from the request's bytes, and every approval was verified.
 * @param input.agreement needed where the decision requires it
 * @throws TypeError when the decision is a denial, when the matter is not about these bytes and this
 * key, or when `weigh` does not say `met`: callers answer all of these before they come here
 */
export function authorize(input: {
  readonly decision: Decision
  readonly requestId: string
  readonly bytes: SigningBytes
  readonly key: KeyConfig
  readonly agreement?: Agreement
}): Authorized {
  const { decision, requestId, bytes, key, agreement } = input
  if (decision.kind === 'deny' || decision.rules.length === 0) {
    throw new TypeError('a key is used only for what a rule allows')
  }
  if (decision.kind === 'require') {
    if (agreement === undefined) throw new TypeError('what needs approval comes with an agreement')
    checkMatter(agreement, input)
    const { kind } = weigh({ ...agreement, requirements: decision.requirements })
    if (kind !== 'met')
      throw new TypeError(`a key is used only once officers agree; this is ${kind}`)
  }
  return Object.freeze({ requestId, bytes, key }) as Authorized
}

function checkMatter(
  { matter }: Agreement,
  { bytes, key }: { bytes: SigningBytes; key: KeyConfig },
): void {
  const same = Buffer.compare(matter.request, sha256(bytes)) === 0 && matter.key === key.did
  if (!same) throw new TypeError('the agreement is about other bytes or another key')
}
