import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { linesOf } from '../../../src/files/lines.ts'
import { syncDirectory } from '../../../src/files/write-once.ts'
import { formatSignature, parseSignature } from '../../../src/plc/compact.ts'
import { escapeText } from '../../../src/plc/text.ts'
import type { DerivedOperation } from '../../../src/recovery/derive.ts'
import { MAX_RESULT_LINE, renderHeader } from '../../../src/recovery/result.ts'
import type { SignedRecovery } from '../../../src/recovery/result.ts'
import type { TrustedIntent } from '../../../src/recovery/trusted.ts'
import { dirname } from 'node:path'
import { Refusal } from '../command.ts'

/** A signature that was made before: it is never replaced by another. */
type Kept = { readonly did: string; readonly digest: string; readonly compact: Uint8Array }

/**
 * What a signing run has done, line by line beside its result: a run that was killed goes on from there.
 * Each line is durable before anything follows from it. The signatures in it are live, like the result:
 * guard it the same.
 */
export type Journal = {
  /** How many operations are signed already. */
  readonly signed: number
  /** How many were about to be signed when the run before this one ended, without a signature here. */
  readonly lost: number
  /** The signature that is kept for the next operation; null: there is none. @throws Refusal */
  next(derived: DerivedOperation): Promise<Uint8Array | null>
  /** Before the key is used. */
  intend(batch: readonly DerivedOperation[]): Promise<void>
  /** Before anything is done with them; what does not verify never gets here. */
  record(batch: readonly SignedRecovery[]): Promise<void>
  close(): Promise<void>
}

const SIGNED = /^signed (did:plc:[a-z2-7]{24}) ([0-9a-f]{64}) ([A-Za-z0-9_-]{86})$/
const INTENDED = /^intend (did:plc:[a-z2-7]{24}) ([0-9a-f]{64})$/

/** @throws Refusal when the file is of another ceremony, or no journal */
export async function openJournal(path: string, trusted: TrustedIntent): Promise<Journal> {
  const header = renderHeader(trusted)
  const file = await open(path, 'a+', 0o600)
  try {
    const { bytes, signed, lost } = await readBack(file, path, header)
    // A line that a crash has cut off says nothing; what follows must begin on a line of its own.
    await file.truncate(bytes)
    if (bytes === 0) await write(file, [header])
    await syncDirectory(dirname(path))
    const kept = keptLines(path)
    return {
      signed,
      lost,
      next: async (derived) => await nextKept(kept, derived),
      intend: async (batch) => await write(file, batch.map(intendLine)),
      record: async (batch) => await write(file, batch.map(signedLine)),
      close: async () => await file.close(),
    }
  } catch (error) {
    await file.close()
    throw error
  }
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const intendLine = ({ did, digest }: DerivedOperation) => `intend ${did} ${hex(digest)}`
const signedLine = ({ derived, compact }: SignedRecovery) =>
  `signed ${derived.did} ${hex(derived.digest)} ${formatSignature(compact)}`

async function write(file: FileHandle, lines: readonly string[]): Promise<void> {
  await file.appendFile(lines.map((line) => `${line}\n`).join(''))
  await file.sync()
}

/** @returns how many bytes of it are whole lines */
async function readBack(file: FileHandle, path: string, header: string) {
  const { size } = await file.stat()
  let bytes = 0
  let signed = 0
  let intended = 0
  for await (const line of linesIn(path)) {
    const end = bytes + line.text.length + 1
    if (end > size) break
    if (line.number === 1 && line.text !== header) throw refused(path, 'is of another ceremony')
    if (SIGNED.test(line.text)) signed += 1
    else if (INTENDED.test(line.text)) intended += 1
    else if (line.number > 1) throw refused(path, `line ${line.number}: is no line of a journal`)
    bytes = end
  }
  return { bytes, signed, lost: Math.max(0, intended - signed) }
}

async function* linesIn(path: string): AsyncGenerator<{ number: number; text: string }> {
  const stream = (await open(path, 'r')).createReadStream()
  for await (const { number, bytes } of linesOf(stream, { maxBytes: MAX_RESULT_LINE })) {
    yield { number, text: bytes === null ? '?' : bytes.toString('latin1') }
  }
}

async function* keptLines(path: string): AsyncGenerator<Kept> {
  for await (const { text } of linesIn(path)) {
    const [, did, digest, sig] = SIGNED.exec(text) ?? []
    if (did === undefined || digest === undefined || sig === undefined) continue
    yield { did, digest, compact: parseSignature(sig) }
  }
}

async function nextKept(
  kept: AsyncGenerator<Kept>,
  derived: DerivedOperation,
): Promise<Uint8Array | null> {
  const { done, value } = await kept.next()
  if (done === true) return null
  if (value.did === derived.did && value.digest === hex(derived.digest)) return value.compact
  throw new Refusal(
    `the journal holds a signature of ${value.did} over other bytes than follow now: begin again with another --out only if you know why`,
  )
}

function refused(path: string, why: string): Refusal {
  return new Refusal(`${escapeText(path)}: ${why}`)
}
