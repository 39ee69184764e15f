import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { renderDocument } from '../ceremony/document.ts'
import { linesOf } from '../files/lines.ts'
import { syncDirectory, writeOnce } from '../files/write-once.ts'
import type { EcdsaVerify } from '../plc/signature.ts'
import {
  ACCOUNTS_FILE,
  createTotal,
  EVIDENCE_FILE,
  MAX_EVIDENCE_LINE,
  POLICIES_FILE,
  renderAccount,
  renderEvidence,
  ROSTER_FILE,
} from '../recovery/bundle.ts'
import type { Evidence } from '../recovery/bundle.ts'
import { judgeAccount } from '../recovery/derive.ts'
import { RecoveryError } from '../recovery/error.ts'
import { INTENT_FILE } from '../recovery/intent.ts'
import type { Intent } from '../recovery/intent.ts'
import { createSummary } from '../recovery/summary.ts'
import type { Summary } from '../recovery/summary.ts'
import { isProven } from './possession.ts'

/** What a plan is for, before any evidence. */
export type Purpose = Pick<
  Intent,
  | 'env'
  | 'ceremony'
  | 'made'
  | 'planner'
  | 'audience'
  | 'transformation'
  | 'lost'
  | 'recovery'
  | 'did'
  | 'policies'
  | 'roster'
>

/**
 * A bundle in the making: a folder `BUNDLE.partial`, in which evidence grows account by account in the
 * order of the list. A run that was killed goes on behind the last whole line.
 */
export type Plan = {
  readonly purpose: Purpose
  /** How many accounts of the list have their evidence. */
  readonly done: number
  /** The evidence of the next accounts of the list; durable on return. */
  add(evidence: readonly Evidence[]): Promise<void>
  /**
   * Derives everything and puts the bundle in its place, whole.
   * @param sign by the new key, over the probe of the intent
   */
  finish(parts: Parts): Promise<{ readonly intent: Intent; readonly summary: Summary }>
  close(): Promise<void>
}

export type Parts = {
  readonly policies: Uint8Array
  readonly roster: Uint8Array | null
  readonly verify: EcdsaVerify
  /** @returns the intent with its proof */
  readonly sign: (intent: Intent) => Promise<Intent>
  readonly onAccount?: () => void
}

const PURPOSE_FILE = 'plan.json'
const FLUSH_LINES = 1_024

/**
 * Begins a plan, or goes on with the one that a run before this left: then its purpose must be the same
 * but for the ceremony's id and time, which stay those of the beginning.
 * @param dids sorted, each once
 * @throws RecoveryError when what is there is another plan
 */
export async function openPlan(
  path: string,
  wanted: Purpose,
  dids: readonly string[],
): Promise<Plan> {
  const folder = `${path}.partial`
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const accounts = createTotal()
  for (const did of dids) accounts.add(did)
  const purpose = await keepPurpose(join(folder, PURPOSE_FILE), wanted, accounts.end().sha256)
  const file = await open(join(folder, EVIDENCE_FILE), 'a+', 0o600)
  try {
    const { bytes, lines } = await readBack(file, join(folder, EVIDENCE_FILE), dids)
    await file.truncate(bytes)
    let done = lines
    return {
      purpose,
      done,
      add: async (evidence) => {
        for (const [index, { did }] of evidence.entries()) {
          if (dids[done + index] !== did) throw new TypeError(`${did} is not the next account`)
        }
        await file.appendFile(evidence.map((one) => `${renderEvidence(one)}\n`).join(''))
        await file.sync()
        done += evidence.length
      },
      finish: async (parts) => await finish({ path, folder, purpose }, parts),
      close: async () => await file.close(),
    }
  } catch (error) {
    await file.close()
    throw error
  }
}

async function keepPurpose(path: string, wanted: Purpose, accounts: string): Promise<Purpose> {
  const text = JSON.stringify({ ...wanted, accounts })
  if (await writeOnce(path, text)) return wanted
  const { accounts: listed, ...kept } = JSON.parse(await readFile(path, 'utf8')) as Purpose & {
    accounts: string
  }
  if (listed !== accounts) throw other(path, 'another list of accounts')
  for (const [name, value] of Object.entries(wanted)) {
    if (name === 'ceremony' || name === 'made') continue
    if (kept[name as keyof Purpose] !== value) throw other(path, `another ${name}`)
  }
  return kept
}

/** @returns how much of the file is whole lines of the first accounts */
async function readBack(file: FileHandle, path: string, dids: readonly string[]) {
  const { size } = await file.stat()
  let bytes = 0
  let lines = 0
  for await (const { text } of textLines(path)) {
    const end = bytes + Buffer.byteLength(text) + 1
    const did = dids[lines]
    if (end > size || did === undefined || !text.startsWith(`{"did":"${did}",`)) break
    bytes = end
    lines += 1
  }
  return { bytes, lines }
}

async function finish(
  { path, folder, purpose }: { path: string; folder: string; purpose: Purpose },
  parts: Parts,
): Promise<{ intent: Intent; summary: Summary }> {
  const { accounts, evidence, summary } = await derive(folder, purpose, parts)
  const unsigned: Intent = {
    format: 'holdfast/recovery-intent/v1',
    ...purpose,
    accounts: { count: accounts.lines, sha256: accounts.sha256 },
    evidence: { bytes: evidence.bytes, sha256: evidence.sha256 },
    operations: summary.operations,
    excluded: summary.excluded,
    proof: '',
  }
  const intent = await parts.sign(inOrder(unsigned))
  if (!(await isProven(intent))) {
    throw new RecoveryError('bundle-malformed', `the new key did not sign as ${intent.did}`)
  }
  await put(folder, INTENT_FILE, renderDocument(intent))
  await put(folder, POLICIES_FILE, parts.policies)
  if (parts.roster !== null) await put(folder, ROSTER_FILE, parts.roster)
  await removeOthers(folder, parts)
  await syncDirectory(folder)
  await rename(folder, path)
  await syncDirectory(dirname(path))
  return { intent, summary }
}

/** One way through the evidence: the list of accounts is written, and everything that follows derived. */
async function derive(folder: string, purpose: Purpose, { verify, onAccount }: Parts) {
  const accounts = createTotal()
  const evidence = createTotal()
  const summary = createSummary()
  await rm(join(folder, ACCOUNTS_FILE), { force: true })
  const file = await open(join(folder, ACCOUNTS_FILE), 'wx', 0o600)
  let waiting: string[] = []
  const flush = async (): Promise<void> => {
    await file.appendFile(waiting.join(''))
    waiting = []
  }
  try {
    for await (const { text } of textLines(join(folder, EVIDENCE_FILE))) {
      const one = JSON.parse(text) as Evidence
      const account = renderAccount(one.did, text)
      accounts.add(account)
      evidence.add(text)
      waiting.push(`${account}\n`)
      if (waiting.length === FLUSH_LINES) await flush()
      summary.add(await judgeAccount(one, purpose, verify))
      onAccount?.()
    }
    await flush()
    await file.sync()
  } finally {
    await file.close()
  }
  return { accounts: accounts.end(), evidence: evidence.end(), summary: summary.end() }
}

/** The text of a document is made of its fields in one order. */
function inOrder(intent: Intent): Intent {
  const { env, ceremony, made, planner, audience, transformation, lost, recovery, did } = intent
  const { accounts, evidence, operations, excluded, policies, roster, format, proof } = intent
  return {
    format,
    env,
    ceremony,
    made,
    planner,
    audience,
    transformation,
    lost,
    recovery,
    did,
    accounts,
    evidence,
    operations,
    excluded,
    policies,
    roster,
    proof,
  }
}

/** What a run that was killed has left half written, and the purpose, which the intent holds now. */
async function removeOthers(folder: string, { roster }: Parts): Promise<void> {
  const kept = [INTENT_FILE, ACCOUNTS_FILE, EVIDENCE_FILE, POLICIES_FILE]
  if (roster !== null) kept.push(ROSTER_FILE)
  for (const name of await readdir(folder)) {
    if (!kept.includes(name)) await rm(join(folder, name), { force: true })
  }
}

async function put(folder: string, name: string, content: Uint8Array | string): Promise<void> {
  await rm(join(folder, name), { force: true })
  await writeOnce(join(folder, name), content)
}

async function* textLines(path: string): AsyncGenerator<{ text: string }> {
  const stream = (await open(path, 'r')).createReadStream({ highWaterMark: 1024 * 1024 })
  for await (const { bytes } of linesOf(stream, { maxBytes: MAX_EVIDENCE_LINE })) {
    if (bytes === null) throw new RecoveryError('bundle-malformed', `${path}: a line is too long`)
    yield { text: bytes.toString('utf8') }
  }
}

function other(path: string, what: string): RecoveryError {
  return new RecoveryError(
    'bundle-malformed',
    `${path}: a plan with ${what} was begun here; name another bundle, or remove that folder`,
  )
}
