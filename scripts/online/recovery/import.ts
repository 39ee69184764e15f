import { parseArgs } from 'node:util'
import { parseTrustCard } from '../../../src/audit/trust-card.ts'
import { openBundle, resultLines, verifyApprovals } from '../../../src/bundle/open.ts'
import { renderDocument } from '../../../src/ceremony/document.ts'
import { openVerifier, opensslVerifier } from '../../../src/ecdsa/native.ts'
import { cidOf, encodeSignedOperation } from '../../../src/plc/encode.ts'
import { matchResult } from '../../../src/recovery/judge.ts'
import { signedOperation } from '../../../src/recovery/result.ts'
import { approveIntent, trustIntent } from '../../../src/recovery/trusted.ts'
import type { ApprovedIntent } from '../../../src/recovery/trusted.ts'
import type { Bundle } from '../../../src/bundle/open.ts'
import { beginImport, endImport, keepImported } from '../../../src/store/recovery-ledger.ts'
import type { NewLedgerRow } from '../../../src/store/recovery-ledger.ts'
import type { Database } from '../../../src/store/database.ts'
import { readText } from '../../offline/command.ts'
import { confirmWords } from '../../offline/recovery/confirm.ts'
import { createProgress } from '../../offline/recovery/progress.ts'
import { openTerminal } from '../../offline/terminal.ts'
import { print, printJson, UsageError, withContext } from '../command.ts'

export const importUsage =
  'recovery import --trust CARD BUNDLE RESULT [--json]   take in what a ceremony signed; asks for the words of the result'

const BATCH = 500

/**
 * Verifies a result against its bundle as the second machine of the ceremony did, asks for the words that
 * were written down there, and keeps every operation in the ledger. A run that was killed goes on.
 */
export async function importResult(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { trust: { type: 'string' }, json: { type: 'boolean', default: false } },
  })
  const [path, result, extra] = positionals
  const { trust: card, json } = values
  if (path === undefined || result === undefined || extra !== undefined || card === undefined) {
    throw new UsageError(importUsage)
  }
  const bundle = await openBundle(path)
  const trusted = trustIntent(bundle.intent, parseTrustCard(await readText(card)), bundle)
  const approvals = await verifyApprovals(bundle, trusted, openVerifier().verify)
  const approved = approveIntent(trusted, { approvals, now: new Date() })
  const digest = await goThrough({ approved, bundle, result }, async () => {})
  await askWords(digest)
  const { intent } = trusted
  return await withContext(async ({ db }) => {
    const id = intent.ceremony
    if (await beginImport(db, { id, intent: renderDocument(intent), result: digest })) {
      print(`ceremony ${id} was imported before; nothing is changed`)
      return 0
    }
    await keepAll({ approved, bundle, result }, db)
    const operations = intent.operations.count
    await endImport(db, {
      kind: 'ceremony.imported',
      ceremony: id,
      intent: trusted.digest,
      result: digest,
      operations,
    })
    if (json) printJson({ ceremony: id, operations })
    else
      print(
        `${operations} operations of ceremony ${id} are in the ledger; next: recovery submit ${id}`,
      )
    return 0
  })
}

type Files = {
  readonly approved: ApprovedIntent
  readonly bundle: Bundle
  readonly result: string
}

async function keepAll(files: Files, db: Database): Promise<void> {
  const { ceremony } = files.bundle.intent
  let batch: NewLedgerRow[] = []
  const keep = async (): Promise<void> => {
    if (batch.length > 0) await keepImported(db, ceremony, batch)
    batch = []
  }
  await goThrough(files, async (row) => {
    batch.push(row)
    if (batch.length === BATCH) await keep()
  })
  await keep()
}

/** @returns the digest of the result, all of which is verified then @throws RecoveryError */
async function goThrough(
  { approved: { trusted }, bundle, result }: Files,
  each: (row: NewLedgerRow) => Promise<void>,
): Promise<Uint8Array> {
  const progress = createProgress('verifying', bundle.intent.operations.count)
  const matching = matchResult(
    trusted,
    { ...bundle.lines(), result: resultLines(result) },
    { log: openVerifier().verify, result: opensslVerifier() },
  )
  let next = await matching.next()
  for (; next.done !== true; next = await matching.next()) {
    const operation = signedOperation(next.value)
    const { did, operation: unsigned } = next.value.derived
    const bytes = encodeSignedOperation(operation)
    await each({ did, prev: unsigned.prev, cid: cidOf(operation), bytes })
    progress.advance(1)
  }
  progress.end()
  return next.value.digest
}

async function askWords(digest: Uint8Array): Promise<void> {
  const terminal = openTerminal()
  try {
    await confirmWords(terminal, { what: 'the result', digest })
  } finally {
    terminal.close()
  }
}
