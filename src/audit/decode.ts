import * as dagCbor from '@ipld/dag-cbor'
import { readCanonical } from '../plc/canonical-cbor.ts'
import { quoteText } from '../plc/text.ts'
import type { Decision, LimitUse } from '../policy/evaluate.ts'
import type { Finding } from '../policy/finding.ts'
import { changeKinds, operationClasses } from '../policy/policy-set.ts'
import type { Requirement } from '../policy/policy-set.ts'
import type { QuorumNode } from '../policy/quorum.ts'
import { MAX_ENTRY_BYTES } from './entry.ts'
import type { AuditEntry, JudgedRequest } from './entry.ts'
import { AuditError } from './error.ts'
import * as read from './read.ts'
import type { Read, Shape } from './read.ts'

export type DecodedEntry = {
  /** Postgres's time in milliseconds. */
  readonly at: number
  readonly entry: AuditEntry
}

type Kind = AuditEntry['kind']
type ShapeOf<T> = T extends unknown ? Shape<Omit<T, 'kind'>> : never

const { bool, byName, bytes, count, list, oneOf, orNull, some, text } = read

const finding = read.fields<Finding>({ rule: text, message: text })
const limitUse = read.fields<LimitUse>({
  rule: text,
  per: oneOf(['all', 'did']),
  used: count,
  count,
  alarm: bool,
})

const approvals = list(read.fields({ statement: bytes, evidence: bytes }))
const agreed = read.fields({ request: text, approvals })

const person = read.fields<QuorumNode & { kind: 'person' }>({
  kind: oneOf(['person']),
  id: text,
})
const group = read.fields<QuorumNode & { kind: 'group' }>({
  kind: oneOf(['group']),
  id: text,
  k: count,
  of: (value, where) => list(quorumNode)(value, where),
})
function quorumNode(value: unknown, where: string): QuorumNode {
  const { kind } = read.fieldsOf(value, where)
  return kind === 'person' ? person(value, where) : group(value, where)
}

const requirement = read.fields<Requirement>({
  rule: text,
  quorum: quorumNode,
  separate: orNull(read.fields({ orgs: count })),
  approveBy: count,
  executeBy: count,
  delay: count,
  channel: orNull(read.fields({ cli: count })),
  witness: bool,
  alarm: bool,
})

const decisions: { readonly [K in Decision['kind']]: Read<Decision & { kind: K }> } = {
  allow: read.fields({ kind: oneOf(['allow']), rules: list(text), limits: list(limitUse) }),
  require: read.fields({
    kind: oneOf(['require']),
    rules: list(text),
    requirements: some(requirement),
    limits: list(limitUse),
  }),
  deny: read.fields({ kind: oneOf(['deny']), findings: some(finding) }),
}

const decision: Read<Decision> = (value, where) => {
  const kind = oneOf(['allow', 'require', 'deny'])(read.fieldsOf(value, where)['kind'], where)
  return decisions[kind](value, where)
}

const judged: Shape<JudgedRequest> = {
  request: text,
  caller: text,
  officer: orNull(text),
  key: text,
  keyDid: text,
  digest: bytes,
  unsigned: bytes,
  previous: orNull(bytes),
  standing: orNull(read.fields({ owner: text, nullified: bool, ours: bool, recordedAt: count })),
  did: orNull(text),
  class: oneOf(operationClasses),
  changes: list(oneOf(changeKinds)),
  policy: bytes,
  decision,
  operationCounts: read.fields({ hour: count, day: count, week: count }),
  ruleCounts: byName(count),
  didRuleCounts: byName(count),
  observedHead: orNull(text),
}

const submitted = { request: text, did: text, cid: text }
const said = { request: text, statement: bytes, evidence: bytes }
const keyName = { key: text, keyDid: text }
const latch = { serial: text, reason: text }
const serial = { caller: text, accessKeyId: text, serial: count }

/** One for each kind, or several where a kind has several forms. A kind without one does not compile. */
const shapes: {
  readonly [K in Kind]: readonly ShapeOf<Extract<AuditEntry, { kind: K }>>[]
} = {
  'request.proposed': [judged],
  'request.denied': [judged],
  'request.cancelled': [{ request: text }],
  'approval.recorded': [said],
  'rejection.recorded': [said],
  'request.approved': [{ request: text }],
  'request.rejected': [{ request: text }],
  'request.expired': [{ request: text }],
  'denials.counted': [{ caller: text, minute: count, count }],
  'request.superseded': [
    { request: text, by: text },
    { request: text, head: text },
  ],
  'request.failed': [{ request: text, reason: text }],
  'signature.intended': [
    {
      request: text,
      lease: text,
      digest: bytes,
      keyDid: text,
      replaces: list(text),
      agreement: orNull(read.fields({ audience: text, roster: bytes })),
    },
  ],
  'signature.produced': [
    {
      request: text,
      lease: text,
      did: text,
      cid: text,
      signature: bytes,
      home: orNull(text),
      providerRequestId: orNull(text),
    },
  ],
  'signature.postponed': [{ request: text, lease: text, reason: text }],
  'submission.accepted': [submitted],
  'submission.refused': [{ ...submitted, status: count }],
  'submission.unknown': [submitted],
  'submission.allowed': [{ request: text, person: text, frozen: list(text) }],
  'operation.confirmed': [submitted],
  'trust.initialised': [{ store: text, origin: text, checkpointKey: text }],
  'database.restored': [{ had: count, size: count, root: bytes }],
  'operation.foreign': [
    {
      did: text,
      cid: text,
      class: oneOf(['our-key', 'loss', 'foreign', 'user']),
      createdAt: count,
      deadline: count,
    },
  ],
  'operation.nullified': [{ ...submitted, by: text }],
  'reconciliation.reported': [
    { directory: text, operations: count, own: count, foreign: count, nullified: count },
  ],
  'log.forked': [
    {
      from: text,
      size: count,
      root: bytes,
      had: count,
      origin: text,
      checkpointKey: text,
      agreed,
    },
  ],
  'ceremony.imported': [{ ceremony: text, intent: bytes, result: bytes, operations: count }],
  'ceremony.reported': [
    {
      ceremony: text,
      observed: count,
      open: count,
      stale: count,
      refused: count,
      overruled: count,
    },
  ],
  'policy.changed': [{ digest: bytes, set: bytes }],
  'roster.changed': [{ digest: bytes, roster: bytes }],
  'trust.changed': [
    {
      sequence: count,
      policies: bytes,
      roster: orNull(read.fields({ epoch: count, digest: bytes })),
      by: oneOf(['operator', 'officers']),
      agreed: orNull(agreed),
    },
  ],
  'signing.frozen': [{ scope: text, since: text, by: text }],
  'signing.thawed': [{ frozen: list(text), agreed: orNull(agreed) }],
  'roster.accepted': [{ digest: bytes, document: bytes }],
  'did.enrolled': [{ did: text, caller: text, head: text }],
  'caller.added': [serial],
  'caller.revoked': [serial],
  'key.created': [{ ...keyName, home: text }],
  'key.imported': [{ ...keyName, home: text }],
  'key.checked': [{ ...keyName, home: text, holds: bool }],
  'key.retired': [keyName],
  'key.taken-over': [{ ...keyName, from: text, to: text, reason: text }],
  'key.latched': [latch],
  'key.unlatched': [latch],
}

const readers = new Map(
  Object.entries(shapes).map(([kind, forms]) => [
    kind,
    forms.map((shape) => read.fields<object>({ kind: text, ...shape }, ['v', 'at'])),
  ]),
)

/**
 * An entry from the bytes that the log holds: canonical, of a known kind, with exactly its fields.
 * @throws AuditError `malformed`, `too-large`; `unknown-version` for a schema or kind of another time,
 * of which this version can say nothing
 */
export function decodeEntry(body: Uint8Array): DecodedEntry {
  if (body.length > MAX_ENTRY_BYTES) {
    throw new AuditError('too-large', `an entry of ${body.length} bytes`)
  }
  const value = decodeCanonical(body)
  const { v, at, kind } = value
  if (v !== 1) throw new AuditError('unknown-version', 'an entry of another schema than 1')
  const forms = readers.get(read.text(kind, 'kind'))
  if (forms === undefined) {
    throw new AuditError(
      'unknown-version',
      `an entry of the unknown kind ${quoteText(String(kind))}`,
    )
  }
  const form = forms.length === 1 ? forms[0] : forms.find((_, index) => fits(value, kind, index))
  const entry = (form ?? forms[0]!)(value, 'the entry') as AuditEntry
  return { at: count(at, 'at'), entry }
}

/** Of a kind with several forms, the one whose fields are there. */
function fits(value: Record<string, unknown>, kind: unknown, index: number): boolean {
  const shape = shapes[kind as Kind][index] ?? {}
  return Object.keys(shape).every((name) => Object.hasOwn(value, name))
}

/** Two encodings of one entry would be two leaves that say the same. */
function decodeCanonical(body: Uint8Array): Record<string, unknown> {
  const plain = readCanonical(body)
  if (plain !== undefined) return read.fieldsOf(plain, 'an entry')
  let value: unknown
  try {
    value = dagCbor.decode(body)
  } catch (cause) {
    throw new AuditError('malformed', 'an entry is not one DAG-CBOR value', { cause })
  }
  const source = read.fieldsOf(value, 'an entry')
  if (Buffer.compare(dagCbor.encode(source), body) !== 0) {
    throw new AuditError('malformed', 'an entry is not the canonical DAG-CBOR of its content')
  }
  return source
}
