import { randomBytes } from 'node:crypto'
import { encodeEvidence } from '../../src/approval/evidence.ts'
import type { RawApproval } from '../../src/approval/evidence.ts'
import { statementOf } from '../../src/approval/matter.ts'
import type { Matter, Signatory } from '../../src/approval/matter.ts'
import { encodeStatement } from '../../src/approval/statement.ts'
import type { Roster } from '../../src/policy/roster.ts'
import { didKeyEvidence } from '../approval/cases.ts'

/** The shipped policy is that of one person; where there are officers, a ceremony needs them. */
export const withoutCeremony = (shipped: string): string =>
  shipped.replace(/^ceremony: .*\n/m, '').replace(/^.*id: (CEREMONY|CHANGE),.*$/gm, '')

/**
 * The shipped policy, and: an endpoint changes with two of three officers' approval, of two
 * organisations; a verification method with one's, an hour after it.
 */
export const withOfficers = (shipped: string): string =>
  withoutCeremony(shipped)
    .replace(
      'rules:',
      `groups:
  security: { k: 2, of: [alice, bob, carol] }
  anyone: { any: [security-lead, dora] }
  security-lead: { any: [alice] }
minimum:
  { genesis: 0, update: 0, nullify: 0, tombstone: 0, tombstone.fresh: 0, departure: 0,
    policy: 0, roster: 0, ceremony: 0, redaction: 0, log-fork: 0, thaw: 0 }
publication: 1h
ceremony: { approversMayOperate: true, operators: 1, observers: 0 }
rules:
  - id: MOVE
    match: { op: [update], key: [online], diff: [services.atproto_pds] }
    require: security
    separate: { orgs: 2 }
    approveBy: 24h
    executeBy: 4h
  - id: SIGNING-KEY-SLOWLY
    match: { op: [update], key: [online], diff: [verificationMethods.atproto] }
    require: anyone
    approveBy: 24h
    executeBy: 4h
    delay: 1h`,
    )
    .replace(/^.*id: SIGNING-KEY,.*$/m, '')

/** What an officer's command line sends. */
export async function saidBy(
  person: string,
  matter: Matter,
  roster: Roster,
  fields: Partial<Signatory> = {},
): Promise<RawApproval> {
  const statement = encodeStatement(
    statementOf(matter, {
      decision: 'approve',
      person,
      credential: `${person}-cli`,
      role: 'officer',
      notBefore: Math.floor(Date.now() / 1000),
      nonce: new Uint8Array(randomBytes(16)),
      roster,
      ...fields,
    }),
  )
  return { statement, evidence: encodeEvidence(await didKeyEvidence(person, statement)) }
}
