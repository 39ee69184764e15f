import type { EcdsaVerify } from '../plc/signature.ts'
import { readEvidence } from './bundle.ts'
import type { Line } from './bundle.ts'
import { judgeAccount } from './derive.ts'
import type { DerivedOperation, Judged } from './derive.ts'
import { RecoveryError } from './error.ts'
import type { Intent } from './intent.ts'
import { readResult, verifyRecovery } from './result.ts'
import type { ResultLine, SignedRecovery } from './result.ts'
import { checkSummary, createSummary } from './summary.ts'
import type { Summary } from './summary.ts'
import type { TrustedIntent } from './trusted.ts'

/** The two long files of a bundle, from their beginning. */
export type BundleLines = {
  readonly accounts: AsyncIterable<Line>
  readonly evidence: AsyncIterable<Line>
}

/**
 * Goes through a bundle once, from the first account to the last, and gives what follows for each. That
 * it was the whole of what the intent names is proven at the end, by not throwing.
 * @throws RecoveryError
 */
export async function* judgeBundle(
  intent: Intent,
  files: BundleLines,
  verify: EcdsaVerify,
): AsyncGenerator<Judged, Summary> {
  const summary = createSummary()
  for await (const evidence of readEvidence(intent, files)) {
    const judged = await judgeAccount(evidence, intent, verify)
    summary.add(judged)
    yield judged
  }
  const found = summary.end()
  checkSummary(intent, found)
  return found
}

/** @param onJudged told of every account, in order */
export async function summariseBundle(
  intent: Intent,
  files: BundleLines,
  {
    verify,
    onJudged,
  }: { readonly verify: EcdsaVerify; readonly onJudged: (judged: Judged) => void },
): Promise<Summary> {
  const judging = judgeBundle(intent, files, verify)
  for (;;) {
    const next = await judging.next()
    if (next.done === true) return next.value
    onJudged(next.value)
  }
}

/**
 * Goes through a bundle and its result side by side: each operation that follows from the evidence must
 * have its signature, by the recovery key, and there must be no other.
 * @param verify.result of another implementation than the one that signed
 * @throws RecoveryError naming the account
 */
export async function* matchResult(
  trusted: TrustedIntent,
  files: BundleLines & { readonly result: AsyncIterable<Line> },
  verify: { readonly log: EcdsaVerify; readonly result: EcdsaVerify },
): AsyncGenerator<SignedRecovery, { readonly summary: Summary; readonly digest: Uint8Array }> {
  let digest: Uint8Array | null = null
  const lines = readResult(trusted, files.result, (found) => (digest = found))
  const judging = judgeBundle(trusted.intent, files, verify.log)
  try {
    for (;;) {
      const next = await judging.next()
      if (next.done === true) {
        const left = await lines.next()
        if (left.done !== true) throw changed(`${left.value.did} has no operation in the bundle`)
        if (digest === null) throw changed('its end is missing')
        return { summary: next.value, digest }
      }
      if (next.value.kind === 'excluded') continue
      const { compact } = await lineOf(next.value, lines)
      yield await verifyRecovery(trusted, next.value, { compact, verify: verify.result })
    }
  } finally {
    await lines.return(undefined)
    await judging.return(createSummary().end())
  }
}

async function lineOf(
  { did }: DerivedOperation,
  lines: AsyncGenerator<ResultLine>,
): Promise<ResultLine> {
  const { done, value } = await lines.next()
  if (done === true || value.did > did) throw changed(`${did} is missing`)
  if (value.did === did) return value
  throw changed(`${value.did} has no operation in the bundle`)
}

function changed(message: string): RecoveryError {
  return new RecoveryError('result-changed', `result: ${message}`)
}
