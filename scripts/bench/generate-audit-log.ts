import { randomBytes, randomUUID } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { encodeEvidence } from '../../src/approval/evidence.ts'
import type { RawApproval } from '../../src/approval/evidence.ts'
import { statementOf } from '../../src/approval/matter.ts'
import type { Matter } from '../../src/approval/matter.ts'
import { matterOf } from '../../src/approval/operation-matter.ts'
import { encodeStatement, preimageOf } from '../../src/approval/statement.ts'
import { encodeEntry } from '../../src/audit/entry.ts'
import type { AuditEntry, JudgedRequest, Standing } from '../../src/audit/entry.ts'
import { signCheckpoint } from '../../src/audit/checkpoint.ts'
import { appendLeaves, emptyRange, hashLeaf, rootOf } from '../../src/audit/merkle.ts'
import { ED25519, formatVkey, noteKey } from '../../src/audit/note.ts'
import {
  bundlePath,
  encodeBundle,
  encodeTile,
  TILE_LEVELS,
  TILE_WIDTH,
  tilePath,
} from '../../src/audit/tile.ts'
import { openEd25519 } from '../../src/ed25519/openssl.ts'
import {
  attachSignature,
  cidOfEncoded,
  didOfEncoded,
  encodeSignedOperation,
  requestDigest,
  signingBytes,
} from '../../src/plc/encode.ts'
import type { PlcOperation } from '../../src/plc/operation.ts'
import { policySetBytes } from '../../src/policy/canonical.ts'
import { evaluate } from '../../src/policy/evaluate.ts'
import type { Subject } from '../../src/policy/facts.ts'
import { parsePolicySet } from '../../src/policy/parse.ts'
import { rosterBytes } from '../../src/policy/parse/roster.ts'
import type { PolicySet } from '../../src/policy/policy-set.ts'
import type { Roster } from '../../src/policy/roster.ts'
import { fastKey } from '../../test/support/generate-logs.ts'

const ORIGIN = 'bench.example/audit/1'
const START = Date.UTC(2026, 0, 1)

/** One signature in so many is one that two officers agreed to. */
const APPROVED_EVERY = 50
const OFFICERS = ['alice', 'bob'] as const
const AUDIENCE = 'https://bench.example'

/**
 * Writes the export of a log as the service makes it: for each account a sign-up and a change of its
 * handle, three entries each (proposed, intended, produced), signed for real, under the shipped policy; and
 * for one signature in fifty a change of endpoint, that two officers signed an approval of.
 * The files are not made durable: this is no export that anybody needs.
 */
export async function writeBenchLog(dir: string, entries: number): Promise<{ signatures: number }> {
  const key = await fastKey('audit benchmark')
  const officers = await Promise.all(
    OFFICERS.map(async (person) => ({ person, key: await fastKey(`officer ${person}`) })),
  )
  const policies = benchPolicies(key.did, officers)
  const { roster } = policies
  if (roster === null) throw new TypeError('the benchmark has officers')
  const { publicKey, sign } = openEd25519(Buffer.alloc(32, 1))
  const checkpointKey = noteKey(ORIGIN, ED25519, publicKey)
  const log = createWriter(dir)
  const put = (entry: AuditEntry, at: number) => log.append(encodeEntry(entry, new Date(at)).body)
  const vkey = formatVkey(checkpointKey)
  put({ kind: 'trust.initialised', store: 'bench', origin: ORIGIN, checkpointKey: vkey }, START)
  const { digest } = policies
  put({ kind: 'policy.changed', digest, set: policySetBytes(policies) }, START)
  put({ kind: 'roster.changed', digest: roster.digest, roster: rosterBytes(roster) }, START)
  let signatures = 0
  for (let account = 0; log.size() < entries; account += 1) {
    signatures += await signAccount(
      { key, officers, policies, roster, put, at: START + account * 100 },
      account,
    )
  }
  const root = log.close()
  const size = log.size()
  const note = signCheckpoint({ origin: ORIGIN, size, root }, { key: checkpointKey, sign })
  writeFileSync(`${dir}/checkpoint`, note)
  writeFileSync(`${dir}/log.vkey`, `${vkey}\n`)
  return { signatures }
}

type Officer = { readonly person: string; readonly key: Awaited<ReturnType<typeof fastKey>> }

type Signing = {
  readonly key: Awaited<ReturnType<typeof fastKey>>
  readonly officers: readonly Officer[]
  readonly policies: PolicySet
  readonly roster: Roster
  readonly put: (entry: AuditEntry, at: number) => void
  readonly at: number
}

async function signAccount(signing: Signing, account: number): Promise<number> {
  const genesis: PlcOperation = {
    type: 'plc_operation',
    rotationKeys: [signing.key.did],
    verificationMethods: { atproto: 'did:key:zQ3shXGz9bgMurrofvVhawDcp1fsRwUuEZtVwULuHDk9mZWJW' },
    alsoKnownAs: [`at://account-${account}.pds.example.com`],
    services: {
      atproto_pds: { type: 'AtprotoPersonalDataServer', endpoint: 'https://pds.example.com' },
    },
    prev: null,
  }
  const made = await signOne(signing, { operation: genesis, previous: null, offset: 0 })
  const renamed = {
    ...genesis,
    alsoKnownAs: [`at://renamed-${account}.example.com`],
    prev: made.cid,
  }
  const second = await signOne(signing, { operation: renamed, previous: made, offset: 30 })
  if (account % (APPROVED_EVERY / 2) !== 0) return 2
  const moved = {
    ...renamed,
    services: {
      atproto_pds: { type: 'AtprotoPersonalDataServer', endpoint: 'https://new.example.com' },
    },
    prev: second.cid,
  }
  await signOne(signing, { operation: moved, previous: second, offset: 60 })
  return 3
}

type Made = NonNullable<Subject['previous']> & { readonly bytes: Uint8Array }

async function signOne(
  signing: Signing,
  input: { operation: PlcOperation; previous: Made | null; offset: number },
): Promise<Made> {
  const { key, policies, put, at } = signing
  const { operation, previous } = input
  const now = at + input.offset
  const request = randomUUID()
  const lease = randomUUID()
  const unsigned = signingBytes(operation)
  const judged = judge({ request, unsigned, operation, previous, policies, now })
  put({ kind: 'request.proposed', ...judged }, now)
  const agreement = await askOfficers(signing, { judged, operation, previous, now })
  if (agreement !== null) put({ kind: 'request.proposed', ...judged }, now)
  const { digest, keyDid } = judged
  put({ kind: 'signature.intended', request, lease, digest, keyDid, replaces: [], agreement }, now)
  const signature = await key.sign(unsigned)
  const signed = attachSignature(operation, signature)
  const bytes = encodeSignedOperation(signed)
  const cid = cidOfEncoded(bytes)
  const did = previous?.did ?? didOfEncoded(bytes)
  const recordedAt = now + 5
  put(
    {
      kind: 'signature.produced',
      request,
      lease,
      did,
      cid,
      signature,
      home: null,
      providerRequestId: null,
    },
    recordedAt,
  )
  const standing = { owner: 'pds', nullified: false, ours: true }
  return { did, cid, operation: signed, bytes, ...standing, recordedAt: new Date(recordedAt) }
}

/** Asks for what the policy wants officers to agree to, and has them agree. null: nobody is asked. */
async function askOfficers(
  { key, officers, policies, roster, put }: Signing,
  given: {
    judged: JudgedRequest
    operation: PlcOperation
    previous: Made | null
    now: number
  },
): Promise<{ audience: string; roster: Uint8Array } | null> {
  const { judged, operation, previous, now } = given
  const { decision, request } = judged
  if (decision.kind !== 'require') return null
  const config = policies.keys.find(({ did }) => did === key.did)!
  const matter = matterOf({
    subject: { caller: 'pds', key: config, operation, previous },
    bytes: signingBytes(operation),
    decision,
    policies,
    audience: AUDIENCE,
    requester: { kind: 'caller', name: 'pds' },
    proposedAt: new Date(now),
  })
  for (const officer of officers) {
    const raw = await approve(matter, officer, { roster, now })
    put({ kind: 'approval.recorded', request, ...raw }, now)
  }
  put({ kind: 'request.approved', request }, now)
  return { audience: AUDIENCE, roster: roster.digest }
}

async function approve(
  matter: Matter,
  { person, key }: Officer,
  { roster, now }: { roster: Roster; now: number },
): Promise<RawApproval> {
  const statement = encodeStatement(
    statementOf(matter, {
      decision: 'approve',
      person,
      credential: `${person}-cli`,
      role: 'officer',
      notBefore: Math.floor(now / 1000),
      nonce: new Uint8Array(randomBytes(16)),
      roster,
    }),
  )
  const signature = await key.sign(preimageOf(statement))
  return { statement, evidence: encodeEvidence({ kind: 'did:key', did: key.did, signature }) }
}

function judge(input: {
  request: string
  unsigned: Uint8Array
  operation: PlcOperation
  previous: Made | null
  policies: PolicySet
  now: number
}): JudgedRequest {
  const { request, operation, previous, policies, now } = input
  const key = policies.keys[0]!
  const circumstances = {
    now: new Date(now),
    observedHead: null,
    operationCounts: { hour: 1, day: 1, week: 1 },
    ruleCounts: { DEPARTURE: 0 },
    didRuleCounts: {},
  }
  const { facts, decision } = evaluate({
    subject: { caller: 'pds', key, operation, previous },
    circumstances,
    policies,
  })
  const { now: _, ...counted } = circumstances
  return {
    request,
    caller: 'pds',
    officer: null,
    key: key.id,
    keyDid: key.did,
    digest: requestDigest(signingBytes(operation)),
    unsigned: input.unsigned,
    previous: previous?.bytes ?? null,
    standing: previous === null ? null : standingOf(previous),
    did: previous?.did ?? null,
    class: facts.operationClass,
    changes: facts.changeKinds,
    policy: policies.digest,
    decision,
    ...counted,
  }
}

function standingOf({ owner, nullified, ours, recordedAt }: Made): Standing {
  return { owner, nullified, ours, recordedAt: recordedAt.getTime() }
}

/** The shipped policy, and: an endpoint changes when both officers agree. */
function benchPolicies(did: string, officers: readonly Officer[]): PolicySet {
  const key = { id: 'pds', class: 'online', curve: 'K-256', did, uri: 'file:pds' }
  const shipped = readFileSync(new URL('../../policies/policy.yaml', import.meta.url), 'utf8')
  // What needs no officers where there are none.
  const policy = shipped
    .replace('rules:', `${QUORUM}rules:\n${MOVE}`)
    .replace(/^.*id: (CEREMONY|CHANGE),.*$/gm, '')
  return parsePolicySet({
    keys: JSON.stringify({ keys: 'holdfast/keys/v1', list: [key] }),
    callers: JSON.stringify({
      callers: 'holdfast/callers/v1',
      list: [{ name: 'pds', keys: ['pds'] }],
    }),
    policy,
    roster: JSON.stringify({
      roster: 'holdfast/roster/v1',
      env: 'dev',
      epoch: 1,
      rp: { id: 'bench.example', origins: [AUDIENCE] },
      persons: officers.map(({ person, key: { did: own } }) => ({
        id: person,
        org: 'bench',
        roles: ['officer'],
        status: 'active',
        credentials: [
          {
            kind: 'did:key',
            id: `${person}-cli`,
            did: own,
            from: '2026-01-01T00:00:00Z',
            until: '2036-01-01T00:00:00Z',
          },
        ],
      })),
    }),
  })
}

const QUORUM = `groups:
  both: { all: [alice, bob] }
minimum:
  { genesis: 0, update: 0, nullify: 0, tombstone: 0, tombstone.fresh: 0, departure: 0,
    policy: 0, roster: 0, ceremony: 0, redaction: 0, log-fork: 0, thaw: 0 }
publication: 1h
`
const MOVE = `  - id: MOVE
    match: { op: [update], key: [online], diff: [services.atproto_pds] }
    require: both
    approveBy: 24h
    executeBy: 4h
`

function createWriter(dir: string) {
  const rows: Uint8Array[][] = []
  let range = emptyRange
  let waiting: Uint8Array[] = []

  function write(path: string, content: Uint8Array): void {
    mkdirSync(dirname(`${dir}/${path}`), { recursive: true })
    writeFileSync(`${dir}/${path}`, content)
  }

  function writeTile(level: number, index: number): void {
    const hashes = rows[level] ?? []
    write(tilePath({ level, index, width: hashes.length }), encodeTile(hashes))
    rows[level] = []
  }

  function writeBundle(): void {
    const index = Math.floor(range.size / TILE_WIDTH)
    write(bundlePath({ index, width: waiting.length }), encodeBundle(waiting))
    range = appendLeaves(range, waiting.map(hashLeaf), (node, hash) => {
      if (node.level % TILE_LEVELS !== 0) return
      const level = node.level / TILE_LEVELS
      const row = (rows[level] ??= [])
      row.push(hash)
      if (row.length === TILE_WIDTH) writeTile(level, Math.floor(node.index / TILE_WIDTH))
    })
    waiting = []
  }

  return {
    size: () => range.size + waiting.length,
    append(body: Uint8Array): void {
      waiting.push(body)
      if (waiting.length === TILE_WIDTH) writeBundle()
    },
    /** @returns the root */
    close(): Uint8Array {
      if (waiting.length > 0) writeBundle()
      for (const [level, row] of rows.entries()) {
        if (row.length > 0) writeTile(level, Math.floor(range.size / TILE_WIDTH ** (level + 1)))
      }
      return rootOf(range)
    },
  }
}
