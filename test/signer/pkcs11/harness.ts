import { onTestFinished } from 'vitest'
import { openVerifier } from '../../../src/ecdsa/native.ts'
import type { Authorized } from '../../../src/approval/authorize.ts'
import { signingBytes } from '../../../src/plc/encode.ts'
import type { KeyConfig } from '../../../src/policy/policy-set.ts'
import { createPkcs11Backend } from '../../../src/signer/pkcs11/backend.ts'
import type { Pkcs11Limits } from '../../../src/signer/pkcs11/limits.ts'
import { verifyForRelease } from '../../../src/signer/release.ts'
import { SignerError } from '../../../src/signer/signer.ts'
import type { CommittedIntent, Signer, SignerErrorCode } from '../../../src/signer/signer.ts'
import { openSoftHsm } from '../../support/softhsm.ts'
import type { SoftHsm } from '../../support/softhsm.ts'

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

export type Bench = Awaited<ReturnType<typeof openBench>>

/** A SoftHSM2 behind the shim with a K-256 key `k` and a P-256 key `p`, removed after the test. */
export async function openBench() {
  const hsm = await openSoftHsm()
  onTestFinished(hsm.close)
  const k: KeyConfig = await configOf(hsm, 'k', 'K-256')
  const p: KeyConfig = await configOf(hsm, 'p', 'P-256')

  function open(limits: Partial<Pkcs11Limits> = {}) {
    const states: string[] = []
    const backend = createPkcs11Backend({
      latchDir: hsm.latchDir,
      environment: hsm.environment,
      pinFile: null,
      limits,
      report: (_token, state) => states.push(state.kind),
    })
    onTestFinished(async () => await backend.close())
    return { ...backend, states }
  }

  return { ...hsm, hsm, k, p, open }
}

async function configOf(hsm: SoftHsm, label: string, curve: 'K-256' | 'P-256') {
  const did = await hsm.makeKey(label, curve)
  const uri = hsm.uri(`object=${label}`)
  return { id: label, class: 'online', curve, did, uri, development: false } as const
}

export async function until(isSo: () => boolean | Promise<boolean>, ms = 5_000): Promise<number> {
  const start = performance.now()
  while (!(await isSo())) {
    if (performance.now() - start > ms) throw new Error(`not so after ${ms} ms`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  return performance.now() - start
}
