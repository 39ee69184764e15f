import { createHash } from 'node:crypto'
import { formatSignature, parseSignature } from '../plc/compact.ts'
import { attachSignature } from '../plc/encode.ts'
import { PlcError } from '../plc/error.ts'
import { quoteText } from '../plc/text.ts'
import type { SignedOperation } from '../plc/operation.ts'
import type { Proof } from '../plc/proof.ts'
import { verifySignature } from '../plc/signature.ts'
import type { EcdsaVerify } from '../plc/signature.ts'
import type { Line } from './bundle.ts'
import type { DerivedOperation } from './derive.ts'
import { RecoveryError } from './error.ts'
import type { TrustedIntent } from './trusted.ts'

/**
 * A result is a text: a header, a line of DID and signature for each operation in the order of the
 * accounts, and the SHA-256 of all that. Signatures and nothing else: whoever takes it derives the
 * operations again from the bundle.
 */
export const RESULT_FORMAT = 'holdfast/recovery-result/v1'
/** Above each of its lines; the header is the longest. */
export const MAX_RESULT_LINE = 1_024

/** An operation of an intent with a signature by its recovery key that was verified. */
export type SignedRecovery = Proof<
  { readonly derived: DerivedOperation; readonly compact: Uint8Array },
  'SignedRecovery'
>

/** @throws RecoveryError `result-changed` naming the account */
export async function verifyRecovery(
  { intent }: TrustedIntent,
  derived: DerivedOperation,
  { compact, verify }: { readonly compact: Uint8Array; readonly verify: EcdsaVerify },
): Promise<SignedRecovery> {
  try {
    const { bytes } = derived
    await verifySignature({ bytes, compact, keys: [intent.recovery], verify })
  } catch (cause) {
    if (!(cause instanceof PlcError)) throw cause
    const message = `${derived.did}: the signature is not one of its operation by the recovery key`
    throw new RecoveryError('result-changed', message, { cause })
  }
  return Object.freeze({ derived, compact }) as SignedRecovery
}

/** The operation as the directory takes it. */
export function signedOperation({ derived, compact }: SignedRecovery): SignedOperation {
  return attachSignature(derived.operation, compact)
}

export function renderHeader({ intent, digest }: TrustedIntent): string {
  const { env, ceremony, recovery, operations } = intent
  const named = { format: RESULT_FORMAT, env, ceremony, recovery, operations: operations.count }
  return JSON.stringify({ ...named, intent: Buffer.from(digest).toString('hex') })
}

export function renderSigned({ derived, compact }: SignedRecovery): string {
  return `${derived.did} ${formatSignature(compact)}`
}

/** Hashes the lines of a result, each with its line feed; `end` is its last line. */
export function createResultDigest(): {
  add(line: string | Uint8Array): void
  end(): { readonly digest: Uint8Array; readonly line: string }
} {
  const digest = createHash('sha256')
  return {
    add: (line) => void digest.update(line).update('\n'),
    end: () => {
      const bytes = new Uint8Array(digest.digest())
      return { digest: bytes, line: `sha256 ${Buffer.from(bytes).toString('hex')}` }
    },
  }
}

/** A line of a result: its account, and the signature that is still to be verified. */
export type ResultLine = { readonly did: string; readonly compact: Uint8Array }

const LINE = /^(did:plc:[a-z2-7]{24}) ([A-Za-z0-9_-]{86})$/
const END = /^sha256 [0-9a-f]{64}$/

/**
 * The lines of a result for just this intent; that each belongs to its operation is for the caller to
 * prove, who has those.
 * @param done told the digest of the result, once its end is reached
 * @throws RecoveryError naming the line
 */
export async function* readResult(
  trusted: TrustedIntent,
  lines: AsyncIterable<Line>,
  done: (digest: Uint8Array) => void,
): AsyncGenerator<ResultLine> {
  const digest = createResultDigest()
  const header = renderHeader(trusted)
  let ended = false
  for await (const { number, bytes } of lines) {
    const text = bytes === null ? '' : Buffer.from(bytes).toString('latin1')
    if (ended) throw malformed(`line ${number}: something comes after its end`)
    if (number === 1) {
      if (text !== header) throw otherHeader(text, header)
    } else if (END.test(text)) {
      const end = digest.end()
      if (text !== end.line) throw new RecoveryError('result-changed', 'the result was changed')
      done(end.digest)
      ended = true
      continue
    } else {
      yield readLine(number, text)
    }
    digest.add(text)
  }
  if (!ended) throw malformed('its end is missing')
}

function readLine(number: number, text: string): ResultLine {
  const [, did, sig] = LINE.exec(text) ?? []
  if (did === undefined || sig === undefined) {
    throw malformed(`line ${number}: is no DID and signature`)
  }
  try {
    return { did, compact: parseSignature(sig) }
  } catch (cause) {
    throw new RecoveryError('result-malformed', `result: line ${number}: ${did}: no signature`, {
      cause,
    })
  }
}

function otherHeader(found: string, expected: string): RecoveryError {
  const message = `result: it is not for this intent: its header is ${quoteText(found)} instead of ${quoteText(expected)}`
  return new RecoveryError('result-changed', message)
}

function malformed(message: string): RecoveryError {
  return new RecoveryError('result-malformed', `result: ${message}`)
}
