import { P256Keypair, Secp256k1Keypair } from '@atproto/crypto'
import { SignerError } from '../../src/signer/signer.ts'
import type { CommittedIntent, Signer, SignerErrorCode } from '../../src/signer/signer.ts'

/** What stands in for a key backend, made from the real one. */
export type Fault = (real: Signer) => Signer

type Sign = Signer['sign']

const withSign = (sign: (real: Signer) => Sign): Fault => {
  return (real) => ({ ...real, sign: sign(real) })
}

/** Definitely does not use the key. */
export const failingSigner = (code: SignerErrorCode): Fault =>
  withSign(() => async () => {
    throw new SignerError(code, `the test's signer fails: ${code}`)
  })

/** Breaks in a way that no backend foresaw. */
export const brokenSigner = (): Fault =>
  withSign(() => async () => {
    throw new TypeError('cannot read properties of undefined')
  })

/** Uses the key, and loses the answer. */
export const usesKeyAndTimesOut = (): Fault =>
  withSign((real) => async (intent, signal) => {
    await real.sign(intent, signal)
    throw new SignerError('timeout', 'no answer by the deadline')
  })

/** Never answers, whatever its signal says. */
export const deafSigner = (): Fault => withSign(() => async () => await new Promise(() => {}))

/** Another key behind the same label. */
export const wrongKeySigner = (): Fault =>
  withSign(() => async (intent) => {
    const { key, bytes } = intent.authorized
    const other =
      key.curve === 'K-256' ? await Secp256k1Keypair.create() : await P256Keypair.create()
    return { signature: await other.sign(bytes), home: null, requestId: null }
  })

/** The right key over the wrong bytes. */
export const otherBytesSigner = (): Fault =>
  withSign((real) => async (intent, signal) => {
    const bytes = Uint8Array.from(intent.authorized.bytes)
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1
    const other = { ...intent, authorized: { ...intent.authorized, bytes } } as CommittedIntent
    return await real.sign(other, signal)
  })

/** The real signature, changed on its way. */
export const changedBy = (change: (compact: Uint8Array) => Uint8Array): Fault =>
  withSign((real) => async (intent, signal) => {
    const use = await real.sign(intent, signal)
    return { ...use, signature: change(Uint8Array.from(use.signature)) }
  })

/** A backend of several homes, whose provider gives each call an id. */
export const namedUse = (names: { home: string; requestId: string }): Fault =>
  withSign((real) => async (intent, signal) => ({ ...(await real.sign(intent, signal)), ...names }))

export const bitFlip =
  (bit: number) =>
  (compact: Uint8Array): Uint8Array => {
    const flipped = Uint8Array.from(compact)
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    return flipped
  }

/** Each call waits until the test lets it go: for what a suspended process does when it wakes. */
export function suspendableSigner(): Fault & { readonly waiting: (() => void)[] } {
  const waiting: (() => void)[] = []
  const fault = withSign((real) => async (intent, signal) => {
    await new Promise<void>((resolve) => waiting.push(resolve))
    return await real.sign(intent, signal)
  })
  return Object.assign(fault, { waiting })
}
