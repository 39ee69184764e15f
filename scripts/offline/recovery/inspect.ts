import { randomBytes } from 'node:crypto'
import { parseArgs } from 'node:util'
import type { Bundle } from '../../../src/bundle/open.ts'
import { openVerifier } from '../../../src/ecdsa/native.ts'
import { renderOperation } from '../../../src/plc/render.ts'
import { quoteText } from '../../../src/plc/text.ts'
import { RecoveryError } from '../../../src/recovery/error.ts'
import { summariseBundle } from '../../../src/recovery/judge.ts'
import type { DerivedOperation } from '../../../src/recovery/derive.ts'
import { renderSummary } from '../../../src/recovery/summary.ts'
import type { Summary } from '../../../src/recovery/summary.ts'
import type { TrustedIntent } from '../../../src/recovery/trusted.ts'
import { print, printJson, UsageError } from '../command.ts'
import type { Command } from '../command.ts'
import { openApproved, openTrusted } from './bundle-option.ts'
import { evidenceText, readLogEvidence } from './log-evidence.ts'
import { createProgress } from './progress.ts'
import { createSample } from './sample.ts'

export const inspectUsage =
  'inspect --trust FILE BUNDLE [--checkpoint FILE] [--sample N] [--dice TEXT] [--json]   what a bundle would have signed; no key is needed'

export const sampleOptions = {
  sample: { type: 'string', default: '3' },
  dice: { type: 'string' },
} as const

const MAX_SAMPLE = 100

export type Sampling = { readonly size: number; readonly seed: string }

/** Verifies every log of a bundle and shows what follows from them. Exit 1 when anything does not fit. */
export const inspect: Command = async (args) => {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      ...sampleOptions,
      trust: { type: 'string' },
      checkpoint: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  })
  const [path, extra] = positionals
  if (path === undefined || extra !== undefined || values.trust === undefined) {
    throw new UsageError(inspectUsage)
  }
  const { trust, checkpoint } = values
  const evidence = checkpoint === undefined ? null : await readLogEvidence(checkpoint, trust)
  const opened = await openTrusted(path, trust)
  const shown = await look(opened.bundle, samplingOf(values, inspectUsage))
  const approval = await openApproved(opened).catch((error: unknown) => {
    if (error instanceof RecoveryError && error.code === 'not-approved') return error
    throw error
  })
  const isApproved = !(approval instanceof RecoveryError)
  if (values.json) {
    const approvedBy = isApproved ? approval.approvers : null
    printJson({ ...summaryFields(opened.trusted, shown.summary), approvedBy, log: evidence })
  } else {
    show(opened.trusted, shown)
    print(evidenceText(evidence))
    print(isApproved ? approvalText(approval.approvers) : `NOT YET: ${approval.message}`)
  }
  return isApproved ? 0 : 1
}

export function samplingOf(
  { sample, dice }: { readonly sample: string; readonly dice?: string | undefined },
  usage: string,
): Sampling {
  const size = Number(sample)
  if (!/^[0-9]+$/.test(sample) || size > MAX_SAMPLE) {
    throw new UsageError(`${usage}\n--sample: at most ${MAX_SAMPLE}`)
  }
  return { size, seed: dice ?? randomBytes(16).toString('hex') }
}

export type Shown = {
  readonly summary: Summary
  readonly sample: readonly DerivedOperation[]
  readonly seed: string
}

/** The first way through a bundle, before any key is near. @throws RecoveryError */
export async function look(bundle: Bundle, { size, seed }: Sampling): Promise<Shown> {
  const sample = createSample(seed, size)
  const progress = createProgress('verifying', bundle.intent.accounts.count)
  const summary = await summariseBundle(bundle.intent, bundle.lines(), {
    verify: openVerifier().verify,
    onJudged: (judged) => {
      if (judged.kind === 'operation' && size > 0) sample.offer(judged)
      progress.advance(1)
    },
  })
  progress.end()
  return { summary, sample: sample.drawn(), seed }
}

export function show({ intent, digest }: TrustedIntent, { summary, sample, seed }: Shown): void {
  print(renderSummary(intent, summary))
  if (sample.length > 0) print(`${sample.length} of them in full, drawn by ${quoteText(seed)}:\n`)
  for (const { did, operation, previous } of sample) {
    print(`${did}\n${renderOperation({ operation, previous })}`)
  }
  print(`digest of the intent: ${Buffer.from(digest).toString('hex')}`)
}

export function approvalText(approvers: readonly string[]): string {
  return approvers.length === 0
    ? 'the policies ask for nobody’s approval'
    : `approved by ${approvers.join(', ')}`
}

export function summaryFields({ intent, digest }: TrustedIntent, summary: Summary): object {
  const { ceremony, env, transformation, lost, did, recovery } = intent
  const { accounts, operations, excluded, remarks, endpoints, named } = summary
  return {
    ceremony,
    env,
    transformation,
    lost,
    replacement: did,
    recovery,
    digest: Buffer.from(digest).toString('hex'),
    accounts,
    operations,
    excluded,
    remarks,
    endpoints: Object.fromEntries(endpoints),
    named,
  }
}
