import { encodeSignedOperation, signingBytes } from '../../src/plc/encode.ts'
import type { AuditEntry, JudgedRequest, Standing } from '../../src/audit/entry.ts'
import { policySetBytes } from '../../src/policy/canonical.ts'
import { evaluate } from '../../src/policy/evaluate.ts'
import type { EvaluateInput } from '../../src/policy/evaluate.ts'
import type { PreviousOperation } from '../../src/policy/facts.ts'
import { DID, dids, elsewhere, inputOf, OTHER_CID, policySet, update } from '../policy/cases.ts'

export const AT = new Date('2026-03-01T12:00:00.123Z')
export const REQUEST = '0b7c0d8e-5c1b-4d2b-9a53-0f7f0d8b1c11'
export const digest = new Uint8Array(32).fill(7)

/** What custody writes of a judged request. */
export function judgedOf(given: EvaluateInput): JudgedRequest {
  const { facts, decision } = evaluate(given)
  const { subject, policies, circumstances } = given
  return {
    request: REQUEST,
    caller: subject.caller,
    officer: null,
    key: subject.key.id,
    keyDid: subject.key.did,
    digest,
    unsigned: signingBytes(subject.operation),
    previous: subject.previous === null ? null : encodeSignedOperation(subject.previous.operation),
    standing: standingOf(subject.previous),
    did: subject.previous?.did ?? null,
    class: facts.operationClass,
    changes: facts.changeKinds,
    policy: policies.digest,
    decision,
    operationCounts: circumstances.operationCounts,
    ruleCounts: circumstances.ruleCounts,
    didRuleCounts: circumstances.didRuleCounts,
    observedHead: circumstances.observedHead,
  }
}

function standingOf(previous: PreviousOperation | null): Standing | null {
  if (previous === null) return null
  const { owner, nullified, ours, recordedAt } = previous
  return { owner, nullified, ours, recordedAt: recordedAt.getTime() }
}

export const judged = judgedOf(inputOf({ subject: update(elsewhere) }))
const serial = { caller: 'pds', accessKeyId: 'HFAKAAAA', serial: 1 }

const keyName = { key: 'pds', keyDid: dids.online }

const submitted = { request: REQUEST, did: DID, cid: OTHER_CID }

const said = { request: REQUEST, statement: digest, evidence: new Uint8Array(90) }

/** One of each kind, and what it is about. */
export const entries: { [Kind in AuditEntry['kind']]: [AuditEntry & { kind: Kind }, string] } = {
  'request.proposed': [{ kind: 'request.proposed', ...judged }, REQUEST],
  'request.denied': [{ kind: 'request.denied', ...judged }, REQUEST],
  'request.cancelled': [{ kind: 'request.cancelled', request: REQUEST }, REQUEST],
  'approval.recorded': [{ kind: 'approval.recorded', ...said }, REQUEST],
  'rejection.recorded': [{ kind: 'rejection.recorded', ...said }, REQUEST],
  'request.approved': [{ kind: 'request.approved', request: REQUEST }, REQUEST],
  'request.rejected': [{ kind: 'request.rejected', request: REQUEST }, REQUEST],
  'request.expired': [{ kind: 'request.expired', request: REQUEST }, REQUEST],
  'denials.counted': [
    { kind: 'denials.counted', caller: 'pds', minute: 1_767_225_600_000, count: 7 },
    'pds',
  ],
  'request.superseded': [{ kind: 'request.superseded', request: REQUEST, by: 'other' }, REQUEST],
  'request.failed': [{ kind: 'request.failed', request: REQUEST, reason: 'timeout' }, REQUEST],
  'signature.intended': [
    {
      kind: 'signature.intended',
      request: REQUEST,
      lease: 'lease',
      digest,
      keyDid: dids.online,
      replaces: ['other'],
      agreement: { audience: 'https://holdfast.example', roster: digest },
    },
    REQUEST,
  ],
  'signature.produced': [
    {
      kind: 'signature.produced',
      request: REQUEST,
      lease: 'lease',
      did: DID,
      cid: OTHER_CID,
      signature: new Uint8Array(64),
      home: 'eu-central-1',
      providerRequestId: 'f6c7e9d0-1b7e-4f63-9a0f-0c3a1b0c7c11',
    },
    REQUEST,
  ],
  'signature.postponed': [
    { kind: 'signature.postponed', request: REQUEST, lease: 'lease', reason: 'unavailable' },
    REQUEST,
  ],
  'submission.accepted': [{ kind: 'submission.accepted', ...submitted }, REQUEST],
  'submission.refused': [{ kind: 'submission.refused', ...submitted, status: 400 }, REQUEST],
  'submission.allowed': [
    { kind: 'submission.allowed', request: REQUEST, person: 'bob', frozen: ['all'] },
    REQUEST,
  ],
  'submission.unknown': [{ kind: 'submission.unknown', ...submitted }, REQUEST],
  'operation.confirmed': [{ kind: 'operation.confirmed', ...submitted }, REQUEST],
  'trust.initialised': [
    {
      kind: 'trust.initialised',
      store: REQUEST,
      origin: 'holdfast.example/audit/1',
      checkpointKey: 'holdfast.example/audit/1+00000000+AQ==',
    },
    REQUEST,
  ],
  'database.restored': [
    { kind: 'database.restored', had: 3, size: 7, root: new Uint8Array(32) },
    '7',
  ],
  'policy.changed': [
    { kind: 'policy.changed', digest, set: policySetBytes(policySet()) },
    Buffer.from(digest).toString('hex'),
  ],
  'roster.changed': [
    { kind: 'roster.changed', digest, roster: new Uint8Array(90) },
    Buffer.from(digest).toString('hex'),
  ],
  'operation.foreign': [
    {
      kind: 'operation.foreign',
      did: 'did:plc:a',
      cid: 'c',
      class: 'loss',
      createdAt: 1,
      deadline: 2,
    },
    'c',
  ],
  'operation.nullified': [
    { kind: 'operation.nullified', request: REQUEST, did: 'did:plc:a', cid: 'c', by: 'd' },
    'c',
  ],
  'reconciliation.reported': [
    {
      kind: 'reconciliation.reported',
      directory: 'https://plc.directory',
      operations: 3,
      own: 2,
      foreign: 1,
      nullified: 0,
    },
    'https://plc.directory',
  ],
  'log.forked': [
    {
      kind: 'log.forked',
      from: 'localhost/audit/a',
      size: 9,
      root: new Uint8Array(32),
      had: 7,
      origin: 'localhost/audit/b',
      checkpointKey: 'localhost/audit/b+00000000+AA',
      agreed: { request: '{}', approvals: [{ statement: digest, evidence: digest }] },
    },
    'localhost/audit/b',
  ],
  'ceremony.imported': [
    { kind: 'ceremony.imported', ceremony: 'c0', intent: digest, result: digest, operations: 5 },
    'c0',
  ],
  'ceremony.reported': [
    {
      kind: 'ceremony.reported',
      ceremony: 'c0',
      observed: 3,
      open: 0,
      stale: 1,
      refused: 1,
      overruled: 0,
    },
    'c0',
  ],
  'trust.changed': [
    {
      kind: 'trust.changed',
      sequence: 2,
      policies: digest,
      roster: { epoch: 1, digest },
      by: 'officers',
      agreed: { request: '{}', approvals: [{ statement: digest, evidence: digest }] },
    },
    '2',
  ],
  'signing.frozen': [
    {
      kind: 'signing.frozen',
      scope: 'caller pds',
      since: '2026-01-31T12:00:00.000Z',
      by: 'person:alice',
    },
    'caller pds',
  ],
  'signing.thawed': [
    {
      kind: 'signing.thawed',
      frozen: ['all since 2026-01-31T12:00:00.000Z by operator'],
      agreed: { request: '{}', approvals: [{ statement: digest, evidence: digest }] },
    },
    'thaw',
  ],
  'roster.accepted': [
    {
      kind: 'roster.accepted',
      digest,
      document: new Uint8Array(9),
    },
    Buffer.from(digest).toString('hex'),
  ],
  'did.enrolled': [{ kind: 'did.enrolled', did: DID, caller: 'pds', head: OTHER_CID }, DID],
  'caller.added': [{ kind: 'caller.added', ...serial }, 'HFAKAAAA'],
  'caller.revoked': [{ kind: 'caller.revoked', ...serial }, 'HFAKAAAA'],
  'key.created': [{ kind: 'key.created', ...keyName, home: 'file:pds' }, dids.online],
  'key.imported': [{ kind: 'key.imported', ...keyName, home: 'file:pds' }, dids.online],
  'key.checked': [{ kind: 'key.checked', ...keyName, home: 'file:pds', holds: true }, dids.online],
  'key.retired': [{ kind: 'key.retired', ...keyName }, dids.online],
  'key.taken-over': [
    { kind: 'key.taken-over', ...keyName, from: 'pkcs11:token=a', to: 'file:b', reason: 'away' },
    dids.online,
  ],
  'key.latched': [{ kind: 'key.latched', serial: '4711', reason: 'refused' }, '4711'],
  'key.unlatched': [{ kind: 'key.unlatched', serial: '4711', reason: 'refused' }, '4711'],
}
