import { authorize } from '../../src/approval/authorize.ts'
import { cidOf } from '../../src/plc/encode.ts'
import type { PlcOperation } from '../../src/plc/operation.ts'
import { evaluate } from '../../src/policy/evaluate.ts'
import type { EvaluateInput } from '../../src/policy/evaluate.ts'
import { changeKinds } from '../../src/policy/policy-set.ts'
import type { KeyConfig, PolicySet, Rule } from '../../src/policy/policy-set.ts'
import type { QuorumNode } from '../../src/policy/quorum.ts'
import * as officers from '../../test/approval/cases.ts'
import { circumstances } from '../../test/policy/cases.ts'

const RULES = 200
const OFFICERS = 50
const ROUND_MS = 1000
const ROUNDS = 5

/**
 * Decisions per second of one core: the whole evaluation of an ordinary update, from the operation and
 * the one before it to the decision, under a policy of 200 rules whose quorums name 50 officers. And
 * what it costs to prove a permission again from raw evidence, right before a key is used.
 */
export async function benchPolicy(): Promise<object> {
  const input = inputOf(policies())
  const { decision } = evaluate(input)
  if (decision.kind !== 'require') throw new Error(`measured is a quorum, not ${decision.kind}`)
  const rates = Array.from({ length: ROUNDS }, () => rateOf(input))
  return {
    decisions_per_s: Math.round(rates.toSorted((a, b) => a - b)[Math.floor(ROUNDS / 2)]!),
    rules: RULES,
    officers: OFFICERS,
    rounds: rates.map(Math.round),
    reverify_ms: await reverifyMs(),
  }
}

function rateOf(input: EvaluateInput): number {
  const start = performance.now()
  let count = 0
  for (; performance.now() - start < ROUND_MS; count += 100) {
    for (let each = 0; each < 100; each += 1) evaluate(input)
  }
  return (count / (performance.now() - start)) * 1000
}

/** The median, in milliseconds: decision, matter with its rendering, three passkeys, the whole weighing. */
async function reverifyMs(): Promise<number> {
  const names = ['alice', 'bob', 'carol']
  const raw = await Promise.all(names.map(async (name) => await officers.passkeyApproval(name)))
  const times: number[] = []
  for (let round = 0; round < 500; round += 1) {
    const start = performance.now()
    await reverify(raw)
    times.push(performance.now() - start)
  }
  const sorted = times.toSorted((a, b) => a - b)
  return Number(sorted[sorted.length / 2]!.toFixed(3))
}

async function reverify(raw: Parameters<typeof officers.verified>[0][]): Promise<void> {
  const { subject, policies: set, bytes, key: signing } = officers
  const now = circumstances({ ruleCounts: { MOVE: 0 } })
  const { decision } = evaluate({ subject, circumstances: now, policies: set })
  const approvals = await Promise.all(raw.map(async (each) => await officers.verified(each)))
  const agreement = officers.weighing({ approvals })
  authorize({ decision, requestId: 'measured', bytes, key: signing, agreement })
}

const did = (end: string) => `did:key:zQ3shXGz9bgMurrofvVhawDcp1fsRwUuEZtVwULuHDk9mZ${end}`

const key: KeyConfig = {
  id: 'pds',
  class: 'online',
  curve: 'K-256',
  did: did('WJW'),
  uri: 'file:pds',
  development: false,
}

/** Rules that look at everything a rule can look at, of which the last ones match. */
function policies(): PolicySet {
  const officers = Array.from({ length: OFFICERS }, (_, index): QuorumNode => ({
    kind: 'person',
    id: `officer-${index}`,
  }))
  const rules = Array.from({ length: RULES }, (_, index): Rule => {
    const id = `RULE-${index}`
    const isMatch = index >= RULES - 2
    return {
      id,
      match: {
        op: index % 2 === 0 || isMatch ? ['genesis', 'update'] : ['departure', 'nullify'],
        key: ['online'],
        diff: isMatch ? changeKinds.slice(0, 6) : changeKinds.slice(1 + (index % 6)),
        caller: isMatch || index % 3 === 0 ? ['pds'] : ['other', 'third'],
      },
      require: {
        rule: id,
        quorum: { kind: 'group', id: `group-${index}`, k: 3, of: officers },
        separate: { orgs: 2 },
        approveBy: 3600,
        executeBy: 3600,
        delay: 0,
        channel: { cli: 1 },
        witness: false,
        alarm: false,
      },
      limits: { global: null, perDid: null },
    }
  })
  return {
    env: 'dev',
    keys: [key],
    callers: [{ name: 'pds', keys: ['pds'] }],
    rules,
    denies: [{ id: 'NO-TOMBSTONE', match: { op: ['tombstone'] } }],
    groups: [],
    valueSets: [],
    minimum: null,
    publication: null,
    ceremony: null,
    notify: null,
    digest: new Uint8Array(32),
    roster: null,
  }
}

function inputOf(given: PolicySet): EvaluateInput {
  const genesis: PlcOperation = {
    type: 'plc_operation',
    rotationKeys: [key.did],
    verificationMethods: { atproto: key.did },
    alsoKnownAs: ['at://alice.example.com'],
    services: {
      atproto_pds: { type: 'AtprotoPersonalDataServer', endpoint: 'https://pds.example.com' },
    },
    prev: null,
  }
  const operation = { ...genesis, sig: 'A'.repeat(86) }
  const now = new Date()
  return {
    subject: {
      caller: 'pds',
      key,
      operation: { ...genesis, alsoKnownAs: ['at://bob.example.com'], prev: cidOf(operation) },
      previous: {
        did: 'did:plc:aaaaaaaaaaaaaaaaaaaaaaaa',
        cid: cidOf(operation),
        operation,
        owner: 'pds',
        nullified: false,
        recordedAt: now,
        ours: true,
      },
    },
    circumstances: {
      now,
      observedHead: null,
      operationCounts: { hour: 0, day: 0, week: 0 },
      ruleCounts: {},
      didRuleCounts: {},
    },
    policies: given,
  }
}
