import { verifyWithAtproto } from '../../../src/ecdsa/atproto.ts'
import { isLowS } from '../../../src/plc/compact.ts'
import type { KeyConfig } from '../../../src/policy/policy-set.ts'
import { verifyForRelease } from '../../../src/signer/release.ts'
import type { Signer } from '../../../src/signer/signer.ts'
import { openVerifier } from '../../../src/ecdsa/native.ts'
import { newIntent, within } from '../pkcs11/ask.ts'

const CALLERS = 16
const { verify } = openVerifier()

/** Signs as custody does, and has an implementation that shares nothing with it look at the results. */
export async function signMany(signer: Signer, key: KeyConfig, count: number) {
  const sum = { signatures: 0, lowS: 0, verified: 0, shortR: 0, shortS: 0, seconds: 0 }
  const started = performance.now()
  let left = count
  async function call(): Promise<void> {
    while (left > 0) {
      left -= 1
      const intent = newIntent(key)
      const use = await signer.sign(intent, within(10_000))
      const { compact } = await verifyForRelease(intent, use, verify)
      if (compact.length === 64) sum.signatures += 1
      if (isLowS(compact, key.curve)) sum.lowS += 1
      if (await verifyWithAtproto(key.did, intent.authorized.bytes, compact)) sum.verified += 1
      if (compact[0] === 0) sum.shortR += 1
      if (compact[32] === 0) sum.shortS += 1
    }
  }
  await Promise.all(Array.from({ length: CALLERS }, call))
  return { ...sum, seconds: (performance.now() - started) / 1_000 }
}
