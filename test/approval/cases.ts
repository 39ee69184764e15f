import { createHash } from 'node:crypto'
import type { Keypair } from '@atproto/crypto'
import { encodeEvidence } from '../../src/approval/evidence.ts'
import type { Evidence, RawApproval } from '../../src/approval/evidence.ts'
import { renderMatter } from '../../src/approval/display.ts'
import { statementOf, termsOf } from '../../src/approval/matter.ts'
import type { Matter, Signatory } from '../../src/approval/matter.ts'
import { encodeStatement, preimageOf, sha256 } from '../../src/approval/statement.ts'
import { verifyApproval } from '../../src/approval/verify.ts'
import type { VerifiedApproval } from '../../src/approval/verify.ts'
import type { WeighInput } from '../../src/approval/weigh.ts'
import { compactToDer } from '../../src/ecdsa/der.ts'
import { requestDigest, signingBytes } from '../../src/plc/encode.ts'
import { evaluate } from '../../src/policy/evaluate.ts'
import { parsePolicySet } from '../../src/policy/parse.ts'
import type { PolicySet, Requirement } from '../../src/policy/policy-set.ts'
import type { Roster } from '../../src/policy/roster.ts'
import { keyNamed, p256KeyNamed, verify } from '../plc/build-log.ts'
import { NOW, account, circumstances, keyConfig, update } from '../policy/cases.ts'
import { officerFiles, passkeyId } from '../policy/officers.ts'

export const policies: PolicySet = parsePolicySet(officerFiles)
export const roster: Roster = policies.roster!
export const ORIGIN = 'http://localhost:2590'
export const seconds = (date: Date) => Math.floor(date.getTime() / 1000)
/** The request was made at NOW; officers look at it a minute later. */
export const SIGNED_AT = seconds(NOW) + 60

/** Moving an account to another endpoint: rule MOVE, 2 of 3 from 2 organisations, delay 1 h. */
export const subject = update({
  services: {
    atproto_pds: { type: 'AtprotoPersonalDataServer', endpoint: 'https://new.example.com' },
  },
})
export const bytes = signingBytes(subject.operation)
export const key = keyConfig()

const { decision } = evaluate({
  subject,
  policies,
  circumstances: circumstances({ ruleCounts: { MOVE: 0 } }),
})
if (decision.kind !== 'require') throw new Error(`not a quorum: ${JSON.stringify(decision)}`)
export const requireDecision = decision
export const requirements: readonly Requirement[] = decision.requirements

export function matterOf(fields: Partial<Matter> = {}): Matter {
  const facts = {
    env: policies.env,
    audience: ORIGIN,
    subject: 'op' as const,
    request: requestDigest(bytes),
    key: key.did,
    head: subject.operation.prev,
    nullifies: [],
    requester: { kind: 'caller' as const, name: 'alpha' },
    policy: { rules: requireDecision.rules, digest: policies.digest },
    terms: termsOf(requirements, NOW),
  }
  const display = renderMatter({
    matter: facts,
    did: subject.previous!.did,
    operation: subject.operation,
    previous: account,
  })
  return { ...facts, display, ...fields }
}

export function signatoryOf(person: string, fields: Partial<Signatory> = {}): Signatory {
  return {
    decision: 'approve',
    person,
    credential: `${person}-cli`,
    role: 'officer',
    notBefore: SIGNED_AT,
    nonce: nonceOf(`${person} ${JSON.stringify(fields)}`),
    roster,
    ...fields,
  }
}

export const nonceOf = (name: string): Uint8Array =>
  new Uint8Array(createHash('sha256').update(name).digest().subarray(0, 16))

/** An approval by the officer's command line. */
export async function cliApproval(
  person: string,
  input: { matter?: Matter; fields?: Partial<Signatory> } = {},
): Promise<RawApproval> {
  const statement = encodeStatement(
    statementOf(input.matter ?? matterOf(), signatoryOf(person, input.fields)),
  )
  return { statement, evidence: encodeEvidence(await didKeyEvidence(person, statement)) }
}

export async function didKeyEvidence(person: string, statement: Uint8Array): Promise<Evidence> {
  const signer = await keyNamed(`${person} cli`)
  const signature = await signer.sign(preimageOf(statement))
  return { kind: 'did:key', did: signer.did(), signature }
}

/** An approval by passkey, of an authenticator in software; `change` spoils its parts before signing. */
export async function passkeyApproval(
  person: string,
  input: { matter?: Matter; change?: (parts: AssertionParts) => void } = {},
): Promise<RawApproval> {
  const statement = encodeStatement(
    statementOf(input.matter ?? matterOf(), signatoryOf(person, { credential: passkeyId(person) })),
  )
  const signer = await p256KeyNamed(`${person} passkey`)
  const evidence = await assertion(
    { statement, signer, credentialId: passkeyId(person) },
    input.change,
  )
  return { statement, evidence: encodeEvidence(evidence) }
}

export type AssertionParts = {
  client: Record<string, unknown>
  rpId: string
  flags: number
  extensions: Uint8Array
}

export async function assertion(
  input: { statement: Uint8Array; signer: Keypair; credentialId: string },
  change: (parts: AssertionParts) => void = () => {},
): Promise<Evidence & { kind: 'webauthn' }> {
  const challenge = Buffer.from(sha256(preimageOf(input.statement))).toString('base64url')
  const parts: AssertionParts = {
    client: { type: 'webauthn.get', challenge, origin: ORIGIN, crossOrigin: false },
    rpId: 'localhost',
    flags: 0x05,
    extensions: new Uint8Array(),
  }
  change(parts)
  const clientDataJSON = new Uint8Array(Buffer.from(JSON.stringify(parts.client)))
  const rpIdHash = sha256(Buffer.from(parts.rpId))
  const head = [...rpIdHash, parts.flags, 0, 0, 0, 7]
  const authenticatorData = Uint8Array.of(...head, ...parts.extensions)
  const signed = Uint8Array.of(...authenticatorData, ...sha256(clientDataJSON))
  const signature = compactToDer(await input.signer.sign(signed))
  const { credentialId } = input
  return { kind: 'webauthn', credentialId, clientDataJSON, authenticatorData, signature }
}

export const verified = async (
  raw: RawApproval,
  rosters: readonly Roster[] = [roster],
): Promise<VerifiedApproval> => await verifyApproval({ raw, rosters, verify })

export async function approvalsOf(
  ...persons: (string | { person: string; fields: Partial<Signatory> })[]
): Promise<VerifiedApproval[]> {
  return await Promise.all(
    persons.map(async (given) => {
      const { person, fields } = typeof given === 'string' ? { person: given, fields: {} } : given
      return await verified(await cliApproval(person, { fields }))
    }),
  )
}

const HOUR = 3600
/** After the delay of an hour, and before it is too late. */
export const AFTER_DELAY = new Date((SIGNED_AT + HOUR) * 1000)

export function weighing(fields: Partial<WeighInput> = {}): WeighInput {
  return {
    matter: matterOf(),
    requirements,
    approvals: [],
    roster,
    callers: policies.callers,
    clocks: { instance: AFTER_DELAY, database: AFTER_DELAY },
    ...fields,
  }
}

export const clocksAt = (unixSeconds: number) => ({
  instance: new Date(unixSeconds * 1000),
  database: new Date(unixSeconds * 1000),
})
