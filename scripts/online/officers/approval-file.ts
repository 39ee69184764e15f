import { randomBytes } from 'node:crypto'
import { renderApprovalFile } from '../../../src/approval/approval-file.ts'
import { encodeEvidence } from '../../../src/approval/evidence.ts'
import { statementOf } from '../../../src/approval/matter.ts'
import type { Matter } from '../../../src/approval/matter.ts'
import { encodeStatement, preimageOf } from '../../../src/approval/statement.ts'
import type { Statement } from '../../../src/approval/statement.ts'
import { writeOnce } from '../../../src/files/write-once.ts'
import { escapeText } from '../../../src/plc/text.ts'
import type { Roster } from '../../../src/policy/roster.ts'
import { Refusal } from '../../offline/command.ts'
import type { OfficerKey } from '../officer-key.ts'
import { ownerOf } from './signatory.ts'

/**
 * An officer's word on an act, as a file that goes to whoever carries it out.
 * @param pathOf where it lies, by the officer's id; never over another
 * @returns the officer's id @throws Refusal
 */
export async function writeApproval(
  said: {
    readonly matter: Matter
    readonly roster: Roster
    readonly key: OfficerKey
    /** `approve` where it is left out. */
    readonly decision?: Statement['decision']
  },
  pathOf: (person: string) => string,
): Promise<string> {
  const { matter, roster, key, decision = 'approve' } = said
  const now = new Date()
  const owner = ownerOf(roster, key.did, now)
  const approves = decision === 'approve'
  if (approves && matter.requester.kind === 'person' && matter.requester.id === owner.person) {
    throw new Refusal(`${owner.person} asked for this, and so does not approve it`)
  }
  const seconds = Math.floor(now.getTime() / 1_000)
  if (approves && seconds >= matter.terms.approveBy)
    throw new Refusal('it is too late to approve this')
  const statement = encodeStatement(
    statementOf(matter, {
      ...owner,
      decision,
      role: 'officer',
      roster,
      nonce: Uint8Array.from(randomBytes(16)),
      notBefore: seconds,
    }),
  )
  const signature = await key.sign(preimageOf(statement))
  const evidence = encodeEvidence({ kind: 'did:key', did: key.did, signature })
  const path = pathOf(owner.person)
  if (await writeOnce(path, renderApprovalFile({ statement, evidence }))) return owner.person
  throw new Refusal(
    `${escapeText(path)}: is there already: ${owner.person} has said something of it`,
  )
}
