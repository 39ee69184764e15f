import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { renderDocument } from '../../../src/ceremony/document.ts'
import { parseRecoveryKeyRecord } from '../../../src/ceremony/recovery-key.ts'
import type { RecoveryKeyRecord } from '../../../src/ceremony/recovery-key.ts'
import { writeFolder } from '../../../src/files/write-folder.ts'
import { escapeText } from '../../../src/plc/text.ts'
import { readBounded, readText, Refusal } from '../command.ts'
import { signDocument, verifyDocument } from './possession.ts'
import type { Prove } from './possession.ts'

export const RECORD_FILE = 'recovery-key.json'
const MAX_FILE_BYTES = 1024 * 1024

/** @throws Refusal when the key does not prove itself */
export async function makeRecord(
  key: Omit<RecoveryKeyRecord, 'format' | 'nonce' | 'proof'>,
  prove: Prove,
): Promise<RecoveryKeyRecord> {
  const { env, did, curve, source, made } = key
  const nonce = randomBytes(32).toString('hex')
  const format = 'holdfast/recovery-key/v1'
  return await signDocument({ format, env, did, curve, source, made, nonce, proof: '' }, prove)
}

/** @throws DocumentError, Refusal */
export async function readRecord(path: string): Promise<RecoveryKeyRecord> {
  const file = escapeText(path)
  const record = parseRecoveryKeyRecord(await readText(path), file)
  await verifyDocument(record, file)
  return record
}

/**
 * The folder of a key: whole and durable, then read back byte for byte, for what a medium lost must show
 * today and not on the day when it is needed.
 * @throws Refusal when there is something of that name
 */
export async function writeKeyFolder(
  folder: string,
  record: RecoveryKeyRecord,
  files: Readonly<Record<string, Uint8Array | string>>,
): Promise<void> {
  const all = { ...files, [RECORD_FILE]: renderDocument(record) }
  if (!(await writeFolder(folder, all))) {
    throw new Refusal(`${escapeText(folder)}: is there already; nothing was written`)
  }
  for (const [name, content] of Object.entries(all)) {
    const read = await readBounded(join(folder, name), MAX_FILE_BYTES)
    if (read.equals(Buffer.from(content))) continue
    throw new Refusal(
      `${escapeText(join(folder, name))}: is not what was written; use another medium`,
    )
  }
}
