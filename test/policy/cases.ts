import { cidOf } from '../../src/plc/encode.ts'
import type {
  OperationData,
  PlcOperation,
  SignedOperation,
  UnsignedOperation,
} from '../../src/plc/operation.ts'
import { evaluate } from '../../src/policy/evaluate.ts'
import type { EvaluateInput } from '../../src/policy/evaluate.ts'
import type { Circumstances, PreviousOperation, Subject } from '../../src/policy/facts.ts'
import type { DenyRule, KeyConfig, PolicySet, Rule } from '../../src/policy/policy-set.ts'
import { keyNamed, p256KeyNamed, plcOperation } from '../plc/build-log.ts'

const didNamed = async (name: string) => (await keyNamed(name)).did()

/** Two pinned online keys, two pinned recovery keys, and keys that are none of ours. */
export const dids = {
  online: await didNamed('online'),
  online2: await didNamed('online2'),
  recovery: await didNamed('recovery'),
  recovery2: (await p256KeyNamed('recovery2')).did(),
  users: await didNamed('users'),
  users2: (await p256KeyNamed('users2')).did(),
  atproto: await didNamed('atproto'),
  atproto2: await didNamed('atproto2'),
}

export const DID = 'did:plc:aaaaaaaaaaaaaaaaaaaaaaaa'
export const NOW = new Date('2026-03-01T12:00:00.000Z')
/** The CID of no operation here. */
export const OTHER_CID = 'bafyreidef3g2vvlshwzf7vxjyxg3lraahujvhtkpo7y3g4br52ft3lzwem'

const SIG = 'A'.repeat(86)
const PDS = { type: 'AtprotoPersonalDataServer', endpoint: 'https://pds.example.com' }

export function keyConfig(fields: Partial<KeyConfig> = {}): KeyConfig {
  const base: KeyConfig = {
    id: 'pds',
    class: 'online',
    curve: 'K-256',
    did: dids.online,
    uri: 'file:pds',
    development: false,
  }
  return { ...base, ...fields }
}

export const keys: readonly KeyConfig[] = [
  keyConfig(),
  keyConfig({ id: 'pds2', did: dids.online2, uri: 'file:pds2' }),
  keyConfig({ id: 'recovery', class: 'recovery', did: dids.recovery, uri: null }),
  keyConfig({
    id: 'recovery2',
    class: 'recovery',
    curve: 'P-256',
    did: dids.recovery2,
    uri: null,
  }),
]

/** An ordinary account with a recovery key: everything in it is well-formed. */
export const account: OperationData = {
  rotationKeys: [dids.recovery, dids.online],
  verificationMethods: { atproto: dids.atproto },
  alsoKnownAs: ['at://alice.example.com'],
  services: { atproto_pds: PDS },
}

export function rule(id: string, fields: Partial<Rule['match']> = {}, limit?: string): Rule {
  const [count, seconds] = (limit ?? '').split('/')
  return {
    id,
    match: { op: ['update'], key: ['online'], diff: 'any', ...fields },
    require: 'none',
    limits: {
      global: limit === undefined ? null : { count: Number(count), seconds: Number(seconds) },
      perDid: null,
    },
  }
}

export const deny = (id: string, match: DenyRule['match']): DenyRule => ({ id, match })

/** Allows every class to online keys, so that what denies is a rule that always holds. */
export const allowAll = rule('ALLOW-ALL', {
  op: ['genesis', 'update', 'nullify', 'tombstone', 'tombstone.fresh', 'departure'],
})

export function policySet(fields: Partial<PolicySet> = {}): PolicySet {
  return {
    env: 'dev',
    keys,
    callers: [{ name: 'alpha', keys: ['pds', 'pds2'] }],
    rules: [allowAll],
    denies: [],
    groups: [],
    valueSets: [],
    minimum: null,
    publication: null,
    ceremony: null,
    notify: null,
    digest: new Uint8Array(32),
    roster: null,
    ...fields,
  }
}

export function circumstances(fields: Partial<Circumstances> = {}): Circumstances {
  return {
    now: NOW,
    observedHead: null,
    operationCounts: { hour: 0, day: 0, week: 0 },
    ruleCounts: {},
    didRuleCounts: {},
    ...fields,
  }
}

export const secondsAgo = (seconds: number): Date => new Date(NOW.getTime() - seconds * 1000)

export function previousOf(
  operation: UnsignedOperation | SignedOperation,
  fields: Partial<PreviousOperation> = {},
): PreviousOperation {
  const signed: SignedOperation = { ...operation, sig: SIG }
  return {
    did: DID,
    cid: cidOf(signed),
    operation: signed,
    owner: 'alpha',
    nullified: false,
    recordedAt: secondsAgo(3600),
    ours: true,
    ...fields,
  }
}

export function subjectOf(
  operation: UnsignedOperation,
  previous: PreviousOperation | null,
  fields: Partial<Subject> = {},
): Subject {
  return { caller: 'alpha', key: keyConfig(), operation, previous, ...fields }
}

/** A genesis of `account` with these changes. */
export function genesis(changes: Partial<PlcOperation> = {}): Subject {
  return subjectOf(plcOperation({ ...account, ...changes }), null)
}

/** An update that changes `account`, or `before`, into this. */
export function update(
  changes: Partial<OperationData>,
  before: Partial<OperationData> = {},
  fields: Partial<PreviousOperation> = {},
): Subject {
  const old = { ...account, ...before }
  const previous = previousOf(plcOperation(old), fields)
  return subjectOf(plcOperation({ ...old, ...changes, prev: previous.cid }), previous)
}

/** A tombstone of a genesis that was signed here that many seconds ago. */
export function tombstone(age: number, fields: Partial<PreviousOperation> = {}): Subject {
  const previous = previousOf(plcOperation(account), { recordedAt: secondsAgo(age), ...fields })
  return subjectOf({ type: 'plc_tombstone', prev: previous.cid }, previous)
}

/** A user moves to another PDS. */
export const elsewhere: Partial<OperationData> = {
  rotationKeys: [dids.users],
  verificationMethods: { atproto: dids.atproto2 },
  services: { atproto_pds: { ...PDS, endpoint: 'https://elsewhere.example.net' } },
}

export type Case = {
  readonly subject: Subject
  readonly circumstances?: Partial<Circumstances>
  readonly policies?: Partial<PolicySet>
}

export function inputOf(given: Case): EvaluateInput {
  return {
    subject: given.subject,
    circumstances: circumstances(given.circumstances),
    policies: policySet(given.policies),
  }
}

/** `allow RULE…`, `require RULE…` with the rules that ask for a quorum, or `deny RULE…` with every finding in order. */
export function verdictOn(given: Case): string {
  const { decision } = evaluate(inputOf(given))
  switch (decision.kind) {
    case 'allow':
      return ['allow', ...decision.rules].join(' ')
    case 'require':
      return ['require', ...decision.requirements.map((requirement) => requirement.rule)].join(' ')
    case 'deny':
      return ['deny', ...decision.findings.map((finding) => finding.rule)].join(' ')
  }
}
