import type { EcdsaVerify } from '../plc/signature.ts'
import type { Proof } from '../plc/proof.ts'
import { personOf } from '../policy/roster.ts'
import type { Credential, Person, Roster } from '../policy/roster.ts'
import { verifyDidKeyEvidence } from './did-key.ts'
import { ApprovalError } from './error.ts'
import { decodeEvidence } from './evidence.ts'
import type { Evidence, RawApproval } from './evidence.ts'
import { decodeStatement } from './statement.ts'
import type { Statement } from './statement.ts'
import { verifyWebauthnEvidence } from './webauthn.ts'

/**
 * This person said this, with this credential of the roster that the statement names. Whether it
 * counts for anything is said by `authorize`.
 */
export type VerifiedApproval = Proof<
  {
    readonly raw: RawApproval
    readonly statement: Statement
    readonly person: Person
    readonly credential: Credential
  },
  'VerifiedApproval'
>

export type VerifyApprovalInput = {
  readonly raw: RawApproval
  /** The epochs that are known here; a statement may name any of them. */
  readonly rosters: readonly Roster[]
  readonly verify: EcdsaVerify
}

/**
 * The one verifier of approvals: of the service, of the air-gapped machine and of an auditor. No clock:
 * the same bytes give the same answer at any time.
 * @throws ApprovalError
 */
export async function verifyApproval(input: VerifyApprovalInput): Promise<VerifiedApproval> {
  const { raw, rosters, verify } = input
  const statement = decodeStatement(raw.statement)
  const evidence = decodeEvidence(raw.evidence)
  const roster = rosterOf(statement, rosters)
  const { person, credential } = ownerOf(statement, roster)
  const proof = { statement: raw.statement, roster, verify }
  await verifyEvidence(evidence, credential, proof)
  return Object.freeze({ raw, statement, person, credential }) as VerifiedApproval
}

function rosterOf({ roster: named }: Statement, rosters: readonly Roster[]): Roster {
  const roster = rosters.find(
    ({ epoch, digest }) => epoch === named.epoch && Buffer.compare(digest, named.digest) === 0,
  )
  if (roster !== undefined) return roster
  throw new ApprovalError('unknown-roster', 'the statement names officers that are not known here')
}

function ownerOf({ person: id, credential: credentialId }: Statement, roster: Roster) {
  const person = personOf(roster, id)
  const credential = person?.credentials.find((candidate) => candidate.id === credentialId)
  if (person !== null && credential !== undefined) return { person, credential }
  throw new ApprovalError('unknown-credential', 'the roster has no such credential of this person')
}

async function verifyEvidence(
  evidence: Evidence,
  credential: Credential,
  proof: { statement: Uint8Array; roster: Roster; verify: EcdsaVerify },
): Promise<void> {
  if (evidence.kind === 'did:key' && credential.kind === 'did:key') {
    await verifyDidKeyEvidence({ ...proof, evidence, credential })
  } else if (evidence.kind === 'webauthn' && credential.kind === 'webauthn') {
    await verifyWebauthnEvidence({ ...proof, evidence, credential })
  } else {
    throw new ApprovalError('unknown-credential', 'the evidence is of another kind of credential')
  }
}
