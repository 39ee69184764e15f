import { randomUUID } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
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
import type { PolicySet } from '../../src/policy/policy-set.ts'
import { fastKey } from '../../test/support/generate-logs.ts'

const ORIGIN = 'bench.example/audit/1'
const START = Date.UTC(2026, 0, 1)

/**
 * Writes the export of a log as the service makes it: for each account a sign-up and a change of its
 * handle, three entries each (proposed, intended, produced), signed for real, under the shipped policy.
 * The files are not made durable: this is no export that anybody needs.
 */
export async function writeBenchLog(dir: string, entries: number): Promise<{ signatures: number }> {
  const key = await fastKey('audit benchmark')
  const policies = benchPolicies(key.did)
  const { publicKey, sign } = openEd25519(Buffer.alloc(32, 1))
  const checkpointKey = noteKey(ORIGIN, ED25519, publicKey)
  const log = createWriter(dir)
  const put = (entry: AuditEntry, at: number) => log.append(encodeEntry(entry, new Date(at)).body)
  const vkey = formatVkey(checkpointKey)
  put({ kind: 'trust.initialised', store: 'bench', origin: ORIGIN, checkpointKey: vkey }, START)
  const { digest } = policies
  put({ kind: 'policy.changed', digest, set: policySetBytes(policies) }, START)
  let signatures = 0
  for (let account = 0; log.size() < entries; account += 1) {
    signatures += await signAccount({ key, policies, put, at: START + account * 100 }, account)
  }
  const root = log.close()
  const size = log.size()
  const note = signCheckpoint({ origin: ORIGIN, size, root }, { key: checkpointKey, sign })
  writeFileSync(`${dir}/checkpoint`, note)
  writeFileSync(`${dir}/log.vkey`, `${vkey}\n`)
  return { signatures }
}

type Signing = {
  readonly key: Awaited<ReturnType<typeof fastKey>>
  readonly policies: PolicySet
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
  await signOne(signing, { operation: renamed, previous: made, offset: 50 })
  return 2
}

type Made = NonNullable<Subject['previous']> & { readonly bytes: Uint8Array }

async function signOne(
  { key, policies, put, at }: Signing,
  input: { operation: PlcOperation; previous: Made | null; offset: number },
): Promise<Made> {
  const { operation, previous } = input
  const now = at + input.offset
  const request = randomUUID()
  const lease = randomUUID()
  const unsigned = signingBytes(operation)
  const judged = judge({ request, unsigned, operation, previous, policies, now })
  put({ kind: 'request.proposed', ...judged }, now)
  const { digest, keyDid } = judged
  put(
    { kind: 'signature.intended', request, lease, digest, keyDid, replaces: [], agreement: null },
    now,
  )
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

function benchPolicies(did: string): PolicySet {
  const key = { id: 'pds', class: 'online', curve: 'K-256', did, uri: 'file:pds' }
  const policy = readFileSync(new URL('../../policies/policy.yaml', import.meta.url), 'utf8')
  return parsePolicySet({
    keys: JSON.stringify({ keys: 'holdfast/keys/v1', list: [key] }),
    callers: JSON.stringify({
      callers: 'holdfast/callers/v1',
      list: [{ name: 'pds', keys: ['pds'] }],
    }),
    policy,
  })
}

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
