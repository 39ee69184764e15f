import { spkiOf } from '../../ecdsa/spki.ts'
import type { Curve } from '../../plc/did-key.ts'
import type { KeyConfig } from '../../policy/policy-set.ts'
import type { KeyDescription } from './client.ts'

export const KEY_SPECS: Readonly<Record<Curve, 'ECC_SECG_P256K1' | 'ECC_NIST_P256'>> = {
  'K-256': 'ECC_SECG_P256K1',
  'P-256': 'ECC_NIST_P256',
}

/** `other-key`: the pin does not hold. `unfit`: the pinned key, in a state or of a kind that cannot sign. */
export type KeyProblem = { readonly kind: 'other-key' | 'unfit'; readonly message: string }

/** What keeps a key from being used, the worst first; null when all is as it must be. */
export function problemOf(
  key: Pick<KeyConfig, 'curve' | 'did'>,
  arn: string,
  described: KeyDescription,
): KeyProblem | null {
  if (described.arn !== arn) return otherKey(`AWS KMS answers for ${described.arn} instead`)
  const { spec, usage, state } = described
  if (spec !== KEY_SPECS[key.curve]) {
    return unfit(`its spec is ${spec}, and ${key.curve} is ${KEY_SPECS[key.curve]}`)
  }
  if (usage !== 'SIGN_VERIFY') return unfit(`its usage is ${usage}, not SIGN_VERIFY`)
  if (!Buffer.from(described.spki).equals(spkiOf(key.did))) {
    return otherKey(`its public key is not that of ${key.did}, which keys.yaml pins`)
  }
  return state === 'Enabled' ? null : unfit(`its state is ${state}, not Enabled`)
}

const otherKey = (message: string): KeyProblem => ({ kind: 'other-key', message })
const unfit = (message: string): KeyProblem => ({ kind: 'unfit', message })
