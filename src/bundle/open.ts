import { lstat, open, readdir, readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { RawApproval } from '../approval/evidence.ts'
import { parseApprovalFile } from '../approval/approval-file.ts'
import { ApprovalError } from '../approval/error.ts'
import { verifyApproval } from '../approval/verify.ts'
import type { VerifiedApproval } from '../approval/verify.ts'
import { linesOf } from '../files/lines.ts'
import { quoteText } from '../plc/text.ts'
import type { EcdsaVerify } from '../plc/signature.ts'
import {
  ACCOUNTS_FILE,
  APPROVALS_FOLDER,
  EVIDENCE_FILE,
  MAX_ACCOUNT_LINE,
  MAX_EVIDENCE_LINE,
  POLICIES_FILE,
  ROSTER_FILE,
} from '../recovery/bundle.ts'
import type { Line } from '../recovery/bundle.ts'
import { RecoveryError } from '../recovery/error.ts'
import { INTENT_FILE, parseIntent } from '../recovery/intent.ts'
import type { Intent } from '../recovery/intent.ts'
import type { BundleLines } from '../recovery/judge.ts'
import { MAX_RESULT_LINE } from '../recovery/result.ts'
import type { TrustedIntent } from '../recovery/trusted.ts'
import { isProven } from './possession.ts'

/** A bundle on a medium: its small files read and its intent proven, its long ones read anew each time. */
export type Bundle = {
  readonly path: string
  readonly intent: Intent
  readonly policies: Uint8Array
  readonly roster: Uint8Array | null
  readonly approvals: readonly RawApproval[]
  lines(onBytes?: (count: number) => void): BundleLines
}

const FILES = [INTENT_FILE, ACCOUNTS_FILE, EVIDENCE_FILE, POLICIES_FILE]
const MAX_SMALL_BYTES = 4 * 1024 * 1024
const MAX_APPROVALS = 128
const APPROVAL_FILE = /^[a-z0-9][a-z0-9-]{0,62}\.json$/

/**
 * Opens a bundle and takes nothing that does not belong to one: a file more or less is refused.
 * @throws RecoveryError, DocumentError naming the file
 */
export async function openBundle(path: string): Promise<Bundle> {
  const names = await namesIn(path)
  const approvals = names.has(APPROVALS_FOLDER) ? await readApprovals(path) : []
  const intent = parseIntent(await readSmallText(path, INTENT_FILE))
  if (!(await isProven(intent))) {
    throw malformed(`${INTENT_FILE}: was not signed by ${intent.did}, or was changed since`)
  }
  return {
    path,
    intent,
    policies: new Uint8Array(await readSmall(path, POLICIES_FILE)),
    roster: names.has(ROSTER_FILE) ? new Uint8Array(await readSmall(path, ROSTER_FILE)) : null,
    approvals,
    lines: (onBytes) => ({
      accounts: fileLines(join(path, ACCOUNTS_FILE), MAX_ACCOUNT_LINE),
      evidence: fileLines(join(path, EVIDENCE_FILE), MAX_EVIDENCE_LINE, onBytes),
    }),
  }
}

export function resultLines(path: string): AsyncIterable<Line> {
  return fileLines(path, MAX_RESULT_LINE)
}

/**
 * The approvals of a bundle, each verified from its bytes.
 * @throws RecoveryError `not-approved` for one that does not verify: it does not belong there
 */
export async function verifyApprovals(
  { approvals }: Bundle,
  { roster }: TrustedIntent,
  verify: EcdsaVerify,
): Promise<VerifiedApproval[]> {
  const verified: VerifiedApproval[] = []
  for (const raw of approvals) {
    try {
      const rosters = roster === null ? [] : [roster]
      verified.push(await verifyApproval({ raw, rosters, verify }))
    } catch (cause) {
      if (!(cause instanceof ApprovalError)) throw cause
      const message = `an approval in the bundle does not verify: ${cause.message}`
      throw new RecoveryError('not-approved', message, { cause })
    }
  }
  return verified
}

/** @throws RecoveryError naming what is missing, or one too many */
async function namesIn(path: string): Promise<ReadonlySet<string>> {
  const found = await readdir(path).catch((cause: unknown) => {
    throw new RecoveryError('bundle-malformed', `${quoteText(path)}: cannot be read as a folder`, {
      cause,
    })
  })
  const names = new Set(found)
  const missing = FILES.find((name) => !names.has(name))
  if (missing !== undefined) throw malformed(`${missing}: is missing`)
  const known = [...FILES, ROSTER_FILE, APPROVALS_FOLDER]
  const strange = found.find((name) => !known.includes(name))
  if (strange !== undefined) throw malformed(`${quoteText(strange)}: does not belong to a bundle`)
  for (const name of found) {
    const stat = await lstat(join(path, name))
    const isMeant = name === APPROVALS_FOLDER ? stat.isDirectory() : stat.isFile()
    if (!isMeant) throw malformed(`${name}: is no ${name === APPROVALS_FOLDER ? 'folder' : 'file'}`)
  }
  return names
}

async function readApprovals(path: string): Promise<RawApproval[]> {
  const names = (await readdir(join(path, APPROVALS_FOLDER))).sort()
  if (names.length > MAX_APPROVALS) throw malformed(`${APPROVALS_FOLDER}: too many files`)
  const approvals: RawApproval[] = []
  for (const name of names) {
    const file = `${APPROVALS_FOLDER}/${name}`
    if (!APPROVAL_FILE.test(name))
      throw malformed(`${quoteText(file)}: does not belong to a bundle`)
    approvals.push(approvalIn(await readSmallText(path, file), file))
  }
  return approvals
}

function approvalIn(text: string, file: string): RawApproval {
  try {
    return parseApprovalFile(text, file)
  } catch (cause) {
    if (!(cause instanceof ApprovalError)) throw cause
    throw new RecoveryError('bundle-malformed', cause.message, { cause })
  }
}

async function readSmall(path: string, name: string): Promise<Buffer> {
  const { size } = await lstat(join(path, name))
  if (size > MAX_SMALL_BYTES) throw malformed(`${name}: is too long`)
  return await readFile(join(path, name))
}

async function readSmallText(path: string, name: string): Promise<string> {
  const bytes = await readSmall(path, name)
  const text = bytes.toString('utf8')
  if (Buffer.from(text, 'utf8').equals(bytes)) return text
  throw malformed(`${name}: is no UTF-8`)
}

/** Opened when the first line is asked for, closed when nobody asks any more. */
async function* fileLines(
  path: string,
  maxBytes: number,
  onBytes?: (count: number) => void,
): AsyncGenerator<Line> {
  const file = await open(path, 'r')
  const { size } = await file.stat()
  const stream = file.createReadStream({ highWaterMark: 128 * 1024 })
  let bytes = 0
  for await (const line of linesOf(stream, {
    maxBytes,
    ...(onBytes === undefined ? {} : { onBytes }),
  })) {
    bytes += (line.bytes?.length ?? 0) + 1
    yield line
  }
  if (bytes !== size) throw malformed(`${quoteText(basename(path))}: its last line is not whole`)
}

function malformed(message: string): RecoveryError {
  return new RecoveryError('bundle-malformed', message)
}
