import { readdir } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { parseApprovalFile } from '../../../src/approval/approval-file.ts'
import type { RawApproval } from '../../../src/approval/evidence.ts'
import { escapeText } from '../../../src/plc/text.ts'
import { readText } from '../../offline/command.ts'

/** `FILE.ID.json`, as officers have signed them. */
export async function approvalsBeside(path: string): Promise<RawApproval[]> {
  const start = `${basename(path)}.`
  const names = (await readdir(dirname(path))).filter(
    (name) => name.startsWith(start) && name.endsWith('.json'),
  )
  const found: RawApproval[] = []
  for (const name of names.sort()) {
    found.push(parseApprovalFile(await readText(join(dirname(path), name)), escapeText(name)))
  }
  return found
}
