import { parseArgs } from 'node:util'
import { resultLines } from '../../../src/bundle/open.ts'
import { opensslVerifier } from '../../../src/ecdsa/native.ts'
import { verifyWithAtproto } from '../../../src/ecdsa/atproto.ts'
import { matchResult } from '../../../src/recovery/judge.ts'
import { escapeText } from '../../../src/plc/text.ts'
import { print, printJson, UsageError } from '../command.ts'
import type { Command } from '../command.ts'
import { openApproved, openTrusted } from './bundle-option.ts'
import { wordTable } from './confirm.ts'
import { approvalText, summaryFields } from './inspect.ts'
import { createProgress } from './progress.ts'

export const verifyUsage =
  'verify --trust FILE BUNDLE RESULT [--json]   that a result is what its bundle would have, on another machine'

/**
 * Derives everything again, judging the logs by OpenSSL and the result by the audited JavaScript of
 * @atproto/crypto: neither has signed anything. Exit 1 when anything does not fit.
 */
export const verify: Command = async (args) => {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { trust: { type: 'string' }, json: { type: 'boolean', default: false } },
  })
  const [path, result, extra] = positionals
  if (path === undefined || result === undefined || extra !== undefined) {
    throw new UsageError(verifyUsage)
  }
  if (values.trust === undefined) throw new UsageError(verifyUsage)
  const opened = await openTrusted(path, values.trust)
  const approved = await openApproved(opened)
  const { bundle, trusted } = opened
  const progress = createProgress('verifying', bundle.intent.operations.count)
  const matching = matchResult(
    trusted,
    { ...bundle.lines(), result: resultLines(result) },
    { log: opensslVerifier(), result: verifyWithAtproto },
  )
  let next = await matching.next()
  for (; next.done !== true; next = await matching.next()) progress.advance(1)
  progress.end()
  const { summary, digest } = next.value
  if (values.json) {
    const hex = Buffer.from(digest).toString('hex')
    printJson({ ...summaryFields(trusted, summary), result: hex, approvedBy: approved.approvers })
  } else {
    print(approvalText(approved.approvers))
    print(
      `${escapeText(result)}: all ${summary.operations.count} operations, each with its signature`,
    )
    print(`The words of the result:\n${wordTable(digest)}`)
  }
  return 0
}
