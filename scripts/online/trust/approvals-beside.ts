import { readdir } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { weighAct } from '../../../src/approval/act.ts'
import type { AskedAct } from '../../../src/approval/act.ts'
import { parseApprovalFile } from '../../../src/approval/approval-file.ts'
import type { RawApproval } from '../../../src/approval/evidence.ts'
import { verifyApproval } from '../../../src/approval/verify.ts'
import type { VerifiedApproval } from '../../../src/approval/verify.ts'
import { publicOrigin } from '../../../src/config.ts'
import type { Context } from '../../../src/context.ts'
import { openVerifier } from '../../../src/ecdsa/native.ts'
import { escapeText } from '../../../src/plc/text.ts'
import type { Roster } from '../../../src/policy/roster.ts'
import { readText, Refusal } from '../../offline/command.ts'

export type Beside = {
  readonly approvals: readonly RawApproval[]
  readonly verified: readonly VerifiedApproval[]
}

/** `FILE.ID.json`, as officers have signed them. @throws ApprovalError */
export async function approvalsBeside(path: string, roster: Roster | null): Promise<Beside> {
  const start = `${basename(path)}.`
  const names = (await readdir(dirname(path))).filter(
    (name) => name.startsWith(start) && name.endsWith('.json'),
  )
  const { verify } = openVerifier()
  const rosters = roster === null ? [] : [roster]
  const approvals: RawApproval[] = []
  const verified: VerifiedApproval[] = []
  for (const name of names.sort()) {
    const raw = parseApprovalFile(await readText(join(dirname(path), name)), escapeText(name))
    approvals.push(raw)
    verified.push(await verifyApproval({ raw, rosters, verify }))
  }
  return { approvals, verified }
}

/**
 * Whether officers in force have agreed to what the file asks of this service.
 * @returns who, and their approvals; nobody where the policies ask nobody
 * @throws ActRefused, ApprovalError, Refusal
 */
export async function agreementBeside(
  { policies, config, clocks }: Pick<Context, 'policies' | 'config' | 'clocks'>,
  path: string,
  act: AskedAct,
): Promise<{ readonly approvals: readonly RawApproval[]; readonly approvers: readonly string[] }> {
  // No approval is of another service or environment than this one.
  if (act.env !== policies.env || act.audience !== publicOrigin(config)) {
    throw new Refusal(`${escapeText(path)}: is a request to another service`)
  }
  const { roster } = policies
  const { approvals, verified } = await approvalsBeside(path, roster)
  const judged = { policies, roster, approvals: verified, clocks: await clocks() }
  return { approvals, approvers: weighAct(act, judged).approvers }
}
