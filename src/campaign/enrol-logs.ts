import { PlcError } from '../plc/error.ts'
import { verifyLog } from '../plc/log.ts'
import type { VerifiedLog } from '../plc/log.ts'
import type { EcdsaVerify } from '../plc/signature.ts'
import { enrolBatch, foreign, patiently } from './enrol.ts'
import type { EnrolDeps, Enrolment } from './enrol.ts'
import type { Line } from '../files/lines.ts'
import type { Outcome } from './outcome.ts'

/** An audit log of some ten thousand operations. */
export const MAX_LOG_BYTES = 16 * 1024 * 1024

const BATCH_LOGS = 250
const BATCH_BYTES = 8 * 1024 * 1024

/** A line that may be a log: `did` and `head` are only its claim, enough to look whether it is new. */
type Claimed = {
  readonly did: string
  readonly head: string
  readonly log: readonly unknown[]
  readonly line: number
  readonly bytes: number
}

/**
 * Takes logs from a file into care, one a line, each as `GET /:did/log/audit` returns it. They are
 * verified like any other, and the directory is not asked. What has come into care before is passed
 * over by one look-up, so that a run that was killed is soon where it was.
 */
export async function enrolLogs(
  lines: AsyncIterable<Line>,
  deps: EnrolDeps & { readonly verify: EcdsaVerify },
  enrolment: Enrolment,
): Promise<void> {
  for await (const batch of batchesOf(claimedIn(lines, enrolment.report))) {
    const news = await newsOf(batch, deps, enrolment)
    await enrolBatch(await verifyAll(news, deps.verify, enrolment.report), deps, enrolment)
  }
}

async function* claimedIn(
  lines: AsyncIterable<Line>,
  report: Enrolment['report'],
): AsyncGenerator<Claimed> {
  for await (const line of lines) {
    const claimed = claimedBy(line)
    if (claimed === null) continue
    if ('kind' in claimed) report(claimed)
    else yield claimed
  }
}

/** null for an empty line. */
function claimedBy({ number, bytes }: Line): Claimed | Outcome | null {
  const invalid = (reason: string): Outcome => ({
    kind: 'invalid',
    did: null,
    line: number,
    reason,
  })
  if (bytes === null) return invalid(`longer than ${MAX_LOG_BYTES} bytes`)
  const text = bytes.toString('utf8').trim()
  if (text === '') return null
  let log: unknown
  try {
    log = JSON.parse(text)
  } catch {
    return invalid('not JSON; write one whole log on each line (jq -c)')
  }
  if (!Array.isArray(log)) return invalid('not an audit log: that is a list of entries')
  const did = textIn(log[0], 'did', DID)
  const head = textIn(log.at(-1), 'cid', CID)
  if (did === null || head === null) return invalid('not an audit log of a did:plc')
  return { did, head, log, line: number, bytes: bytes.length }
}

const DID = /^did:plc:[a-z2-7]{24}$/
const CID = /^[a-z2-7]{1,100}$/

/** Of the right form, for it is looked up before anything is verified. */
function textIn(entry: unknown, field: 'did' | 'cid', form: RegExp): string | null {
  if (typeof entry !== 'object' || entry === null || !Object.hasOwn(entry, field)) return null
  const value = (entry as Record<string, unknown>)[field]
  return typeof value === 'string' && form.test(value) ? value : null
}

/** No identity is twice in a batch: its second log is judged when the first is committed. */
async function* batchesOf(claims: AsyncIterable<Claimed>): AsyncGenerator<readonly Claimed[]> {
  let batch = new Map<string, Claimed>()
  let bytes = 0
  for await (const claimed of claims) {
    if (batch.size === BATCH_LOGS || bytes > BATCH_BYTES || batch.has(claimed.did)) {
      yield [...batch.values()]
      batch = new Map()
      bytes = 0
    }
    batch.set(claimed.did, claimed)
    bytes += claimed.bytes
  }
  if (batch.size > 0) yield [...batch.values()]
}

/**
 * The last entry of a log is its head when it is written, so whoever knows it knows all before it. A
 * false claim gains nothing: nothing of such a line is kept.
 */
async function newsOf(
  batch: readonly Claimed[],
  deps: EnrolDeps,
  { caller, report }: Enrolment,
): Promise<readonly Claimed[]> {
  const standing = await patiently(deps, async () => await deps.store.standing(caller, batch))
  return batch.filter(({ did, line }) => {
    switch (standing.get(did)) {
      case 'known':
        report({ kind: 'already', did })
        return false
      case 'foreign':
        report({ ...foreign(did), line })
        return false
      case 'in-care':
      case undefined:
        return true
    }
  })
}

async function verifyAll(
  claims: readonly Claimed[],
  verify: EcdsaVerify,
  report: Enrolment['report'],
): Promise<VerifiedLog[]> {
  const logs: VerifiedLog[] = []
  for (const { did, log, line } of claims) {
    try {
      logs.push(await verifyLog(did, log, verify))
    } catch (error) {
      if (!(error instanceof PlcError)) throw error
      report({ kind: 'invalid', did, line, reason: error.message })
    }
  }
  return logs
}
