import type { Authorized } from '../../../src/approval/authorize.ts'
import { openVerifier } from '../../../src/ecdsa/native.ts'
import { signingBytes } from '../../../src/plc/encode.ts'
import type { KeyConfig } from '../../../src/policy/policy-set.ts'
import { verifyForRelease } from '../../../src/signer/release.ts'
import { SignerError } from '../../../src/signer/signer.ts'
import type { CommittedIntent, Signer, SignerErrorCode } from '../../../src/signer/signer.ts'

const { verify } = openVerifier()
let made = 0

/** An intent of its own for each call; nothing is as committed as a test's word. */
export function newIntent(key: KeyConfig): CommittedIntent {
  made += 1
  const bytes = signingBytes({
    type: 'plc_operation',
    rotationKeys: [key.did],
    verificationMethods: { atproto: key.did },
    alsoKnownAs: [`at://user-${made}.test`],
    services: {},
    prev: null,
  })
  const authorized = { requestId: `request-${made}`, bytes, key } as Authorized
  return { authorized, lease: 'test' } as CommittedIntent
}

export const within = (ms: number): AbortSignal => AbortSignal.timeout(ms)

/** Signs as custody does: nothing gets out that does not verify. @returns 64 bytes, low-S */
export async function signAndRelease(
  signer: Signer,
  key: KeyConfig,
  signal = within(5_000),
): Promise<Uint8Array> {
  const intent = newIntent(key)
  const { compact } = await verifyForRelease(intent, await signer.sign(intent, signal), verify)
  return compact
}

export type Answer = 'signed' | SignerErrorCode

/** What became of one request; anything but a signature or a SignerError fails the test. */
export async function ask(signer: Signer, key: KeyConfig, ms = 5_000): Promise<Answer> {
  try {
    await signAndRelease(signer, key, within(ms))
    return 'signed'
  } catch (error) {
    if (error instanceof SignerError) return error.code
    throw error
  }
}

/** How many of each. */
export function tally(answers: readonly Answer[]): Partial<Record<Answer, number>> {
  const sums: Partial<Record<Answer, number>> = {}
  for (const answer of answers) sums[answer] = (sums[answer] ?? 0) + 1
  return sums
}
