import { lstat } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { openVerifier, opensslVerifier } from '../../../src/ecdsa/native.ts'
import { escapeText } from '../../../src/plc/text.ts'
import type { DerivedOperation } from '../../../src/recovery/derive.ts'
import { judgeBundle } from '../../../src/recovery/judge.ts'
import { verifyRecovery } from '../../../src/recovery/result.ts'
import type { SignedRecovery } from '../../../src/recovery/result.ts'
import { checkOperators } from '../../../src/recovery/trusted.ts'
import type { ApprovedIntent } from '../../../src/recovery/trusted.ts'
import type { Bundle } from '../../../src/bundle/open.ts'
import { print, printJson, Refusal, UsageError } from '../command.ts'
import type { Command } from '../command.ts'
import { checkKnownAnswers } from '../keys/known-answers.ts'
import { readRecord } from '../keys/record.ts'
import { sourceOptions, sourcesOf } from '../keys/sources.ts'
import { openTerminal } from '../terminal.ts'
import { openApproved, openTrusted } from './bundle-option.ts'
import { confirmWords, wordTable } from './confirm.ts'
import { approvalText, look, sampleOptions, samplingOf, show, summaryFields } from './inspect.ts'
import { openJournal } from './journal.ts'
import type { Journal } from './journal.ts'
import { createProgress } from './progress.ts'
import { createResultFile } from './result-file.ts'
import type { ResultFile } from './result-file.ts'
import { openSigningKey } from './signing-key.ts'
import type { Opening, SigningKey } from './signing-key.ts'

export const signUsage = `sign --trust FILE --record FILE --out FILE BUNDLE [--operator ID…] [--sample N] [--dice TEXT] [--json]; and for a key in software
    --key-file FILE                                    the key under its passphrase
    --share FILE… --identity FILE… [--dealing FILE]    as many shares as it needs
  (a key on a token is found by its record; a run that was cut off goes on when it is started again)`

const BATCH = 128

/**
 * Signs all that follows from a bundle. In this order: everything is verified and shown; whoever sits
 * there types the words of the intent; only then the key is opened, and everything is derived again while
 * it signs. The result is there whole, or not at all.
 */
export const sign: Command = async (args, environment) => {
  const { path, trust, record: recordPath, out, operators, sources, sampling, json } = parse(args)
  await checkKnownAnswers()
  await requireFree(out)
  const opened = await openTrusted(path, trust)
  const record = await readRecord(recordPath)
  const approved = await openApproved(opened)
  checkOperators(approved, operators)
  const { bundle, trusted } = opened
  const shown = await look(bundle, sampling)
  if (!json) {
    show(trusted, shown)
    print(approvalText(approved.approvers))
  }
  const terminal = openTerminal()
  try {
    await confirmWords(terminal, { what: 'the intent', digest: trusted.digest })
    const opening = { record, sources, environment, terminal }
    const { digest, resigned } = await signAll({ approved, bundle, out }, opening)
    if (json) {
      const result = Buffer.from(digest).toString('hex')
      printJson({ ...summaryFields(trusted, shown.summary), resigned, result })
    } else {
      print(`${shown.summary.operations.count} operations are signed: ${escapeText(out)}`)
      if (resigned > 0) print(`${resigned} were signed again: a run before this one lost them`)
      print(`The words of the result, to be written down:\n${wordTable(digest)}`)
    }
    return 0
  } finally {
    terminal.close()
  }
}

type Run = { readonly approved: ApprovedIntent; readonly bundle: Bundle; readonly out: string }

async function signAll(
  run: Run,
  opening: Opening,
): Promise<{ readonly digest: Uint8Array; readonly resigned: number }> {
  const { approved, out } = run
  const key = await openSigningKey(approved, opening)
  try {
    const journal = await openJournal(`${out}.journal`, approved.trusted)
    const result = await createResultFile(out, approved.trusted)
    try {
      await signEach(run, { key, journal, result })
      const digest = await result.release()
      return { digest, resigned: key.isDeterministic ? 0 : journal.lost }
    } finally {
      await result.close()
      await journal.close()
    }
  } finally {
    await key.close()
  }
}

type Tools = { readonly key: SigningKey; readonly journal: Journal; readonly result: ResultFile }

async function signEach(
  { approved: { trusted }, bundle }: Run,
  { key, journal, result }: Tools,
): Promise<void> {
  const { intent } = trusted
  const progress = createProgress('signing', intent.operations.count)
  const verify = opensslVerifier()
  const check: Check = async (derived, compact) =>
    await verifyRecovery(trusted, derived, { compact, verify })
  let batch: DerivedOperation[] = []
  const finish = async (): Promise<void> => {
    for (const signed of await signBatch(batch, { key, journal, check })) await result.add(signed)
    progress.advance(batch.length)
    batch = []
  }
  for await (const judged of judgeBundle(intent, bundle.lines(), openVerifier().verify)) {
    if (judged.kind === 'excluded') continue
    batch.push(judged)
    if (batch.length === BATCH) await finish()
  }
  await finish()
  progress.end()
}

type Check = (derived: DerivedOperation, compact: Uint8Array) => Promise<SignedRecovery>

/** What the journal has stays as it is; the rest is signed, with its line before and after. */
async function signBatch(
  batch: readonly DerivedOperation[],
  { key, journal, check }: { key: SigningKey; journal: Journal; check: Check },
): Promise<SignedRecovery[]> {
  const done: SignedRecovery[] = []
  for (const derived of batch) {
    const compact = await journal.next(derived)
    if (compact === null) break
    done.push(await check(derived, compact))
  }
  const rest = batch.slice(done.length)
  if (rest.length === 0) return done
  await journal.intend(rest)
  const made = await key.sign(rest)
  const signed: SignedRecovery[] = []
  for (const [index, derived] of rest.entries()) signed.push(await check(derived, made[index]!))
  await journal.record(signed)
  return [...done, ...signed]
}

async function requireFree(path: string): Promise<void> {
  if ((await lstat(path).catch(() => null)) === null) return
  throw new Refusal(`${escapeText(path)}: is there already; nothing was signed`)
}

function parse(args: string[]) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      ...sourceOptions,
      ...sampleOptions,
      trust: { type: 'string' },
      record: { type: 'string' },
      out: { type: 'string' },
      operator: { type: 'string', multiple: true, default: [] },
      json: { type: 'boolean', default: false },
    },
  })
  const [path, extra] = positionals
  const { trust, record, out, operator: operators, json } = values
  if (path === undefined || extra !== undefined) throw new UsageError(signUsage)
  if (trust === undefined || record === undefined || out === undefined) {
    throw new UsageError(signUsage)
  }
  const sources = sourcesOf(values, signUsage)
  return {
    path,
    trust,
    record,
    out,
    operators,
    json,
    sources,
    sampling: samplingOf(values, signUsage),
  }
}
