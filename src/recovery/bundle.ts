import { createHash, hash } from 'node:crypto'
import { quoteText } from '../plc/text.ts'
import { RecoveryError } from './error.ts'
import { absences } from './intent.ts'
import type { Absence, Intent } from './intent.ts'

/**
 * A bundle is a folder: the intent; the list of accounts, sorted, each with the SHA-256 of its line of
 * evidence; the evidence, one account a line in the same order; the policies, and the officers with
 * their approvals where there are any. Evidence, and never an operation.
 */
export const ACCOUNTS_FILE = 'accounts'
export const EVIDENCE_FILE = 'evidence.jsonl'
export const POLICIES_FILE = 'policies.cbor'
export const ROSTER_FILE = 'roster.cbor'
/** One file for each person, `ID.json`. */
export const APPROVALS_FOLDER = 'approvals'

/** Above the longest log that is read; see `MAX_ENTRIES` of `plc/log.ts`. */
export const MAX_EVIDENCE_LINE = 64 * 1024 * 1024
export const MAX_ACCOUNT_LINE = 128

/** What is known of one account: its whole log as the directory lists it, or why there is none. */
export type Evidence =
  | { readonly did: string; readonly log: unknown }
  | { readonly did: string; readonly absent: Absence }

/** A line of a file, without its line feed; null: longer than it may be. */
export type Line = { readonly number: number; readonly bytes: Uint8Array | null }

const DID = /^did:plc:[a-z2-7]{24}$/
const ACCOUNT = /^(did:plc:[a-z2-7]{24}) ([0-9a-f]{64})$/

/** The line of an account in the evidence, without its line feed. */
export function renderEvidence(evidence: Evidence): string {
  return JSON.stringify(evidence)
}

/** The line of an account in the list of accounts, without its line feed. */
export function renderAccount(did: string, evidenceLine: string): string {
  return `${did} ${hash('sha256', evidenceLine, 'hex')}`
}

/**
 * The evidence of a bundle, account by account, each proven to be the one that the list names; at the
 * end both files are proven to be those of the intent. What it gave before that is proven only then.
 * Memory does not grow with the number of accounts.
 * @throws RecoveryError naming the file and the account that was added, dropped, exchanged or changed
 */
export async function* readEvidence(
  intent: Intent,
  files: { readonly accounts: AsyncIterable<Line>; readonly evidence: AsyncIterable<Line> },
): AsyncGenerator<Evidence> {
  const accounts = createTotal()
  const evidence = createTotal()
  const listed = files.accounts[Symbol.asyncIterator]()
  let before = ''
  const nextListed = async () => {
    const { done, value } = await listed.next()
    if (done === true) return null
    const account = parseAccount(value)
    if (account.did <= before) {
      throw changed(`${ACCOUNTS_FILE}: line ${value.number}: ${account.did} is out of order`)
    }
    before = account.did
    accounts.add(account.line)
    return account
  }
  let previous = ''
  try {
    for await (const line of files.evidence) {
      const found = parseEvidence(line)
      const account = await nextListed()
      if (account === null || found.evidence.did < account.did) {
        const what =
          found.evidence.did === previous ? 'comes twice' : 'is not in the list of accounts'
        throw changed(`${EVIDENCE_FILE}: line ${line.number}: ${found.evidence.did} ${what}`)
      }
      if (found.evidence.did > account.did) throw missing(account.did)
      if (found.sha256 !== account.sha256) {
        throw changed(`${EVIDENCE_FILE}: line ${line.number}: ${account.did} was changed`)
      }
      previous = account.did
      evidence.add(found.line)
      yield found.evidence
    }
    const left = await nextListed()
    if (left !== null) throw missing(left.did)
  } finally {
    await listed.return?.()
  }
  checkTotals(intent, { accounts: accounts.end(), evidence: evidence.end() })
}

type Total = { readonly lines: number; readonly bytes: number; readonly sha256: string }

/** Counts lines and hashes them, each with its line feed. */
export function createTotal(): { add(line: string | Uint8Array): void; end(): Total } {
  const digest = createHash('sha256')
  let lines = 0
  let bytes = 0
  return {
    add(line) {
      digest.update(line).update('\n')
      bytes += (typeof line === 'string' ? Buffer.byteLength(line) : line.length) + 1
      lines += 1
    },
    end: () => ({ lines, bytes, sha256: digest.digest('hex') }),
  }
}

function checkTotals(intent: Intent, found: { accounts: Total; evidence: Total }): void {
  const { accounts, evidence } = found
  if (accounts.lines !== intent.accounts.count) {
    const { count } = intent.accounts
    throw changed(`${ACCOUNTS_FILE}: ${accounts.lines} accounts; the intent names ${count}`)
  }
  if (accounts.sha256 !== intent.accounts.sha256) {
    throw changed(`${ACCOUNTS_FILE}: is not the list that the intent names`)
  }
  if (evidence.sha256 !== intent.evidence.sha256 || evidence.bytes !== intent.evidence.bytes) {
    throw changed(`${EVIDENCE_FILE}: is not the evidence that the intent names`)
  }
}

function parseAccount({ number, bytes }: Line): { did: string; sha256: string; line: string } {
  const line = bytes === null ? '' : Buffer.from(bytes).toString('latin1')
  const [, did, sha256] = ACCOUNT.exec(line) ?? []
  if (did !== undefined && sha256 !== undefined) return { did, sha256, line }
  throw malformed(`${ACCOUNTS_FILE}: line ${number}: is no did:plc and SHA-256`)
}

function parseEvidence({ number, bytes }: Line) {
  const where = `${EVIDENCE_FILE}: line ${number}`
  if (bytes === null) throw malformed(`${where}: is too long`)
  const evidence = evidenceIn(bytes, where)
  return { evidence, sha256: hash('sha256', bytes, 'hex'), line: bytes }
}

function evidenceIn(bytes: Uint8Array, where: string): Evidence {
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8'))
  } catch {
    throw malformed(`${where}: is not JSON`)
  }
  if (typeof value !== 'object' || value === null) throw malformed(`${where}: is no account`)
  const fields = value as Readonly<Record<string, unknown>>
  const { did, log, absent } = fields
  if (typeof did !== 'string' || !DID.test(did)) throw malformed(`${where}: did is no did:plc`)
  if (Object.keys(fields).length !== 2) throw malformed(`${where}: ${did} has other fields`)
  if (Array.isArray(log)) return { did, log }
  const absence = absences.find((name) => name === absent)
  if (absence !== undefined) return { did, absent: absence }
  throw malformed(`${where}: ${did} has no log: ${quoteText(String(absent))}`)
}

function missing(did: string): RecoveryError {
  return changed(`${EVIDENCE_FILE}: ${did} is missing`)
}

function changed(message: string): RecoveryError {
  return new RecoveryError('bundle-changed', message)
}

function malformed(message: string): RecoveryError {
  return new RecoveryError('bundle-malformed', message)
}
