import { decode } from '@ipld/dag-cbor'
import type { PoolClient } from 'pg'
import type { JudgedRequest } from '../audit/entry.ts'
import {
  attachSignature,
  cidOfEncoded,
  decodeUnsignedOperation,
  encodeSignedOperation,
} from '../plc/encode.ts'
import type { Sealer } from '../sealing/sealer.ts'
import { lookedUpKinds } from './look-up.ts'
import { sealRow } from './seals.ts'

type Deps = { readonly client: PoolClient; readonly sealer: Sealer }
type Entry = { readonly kind: string; readonly at: number } & Readonly<Record<string, unknown>>

/** The field of each that is its subject. */
const subjects: Record<(typeof lookedUpKinds)[number], string> = {
  'caller.revoked': 'accessKeyId',
  'ceremony.imported': 'ceremony',
  'key.retired': 'keyDid',
  'operation.confirmed': 'request',
  'operation.foreign': 'cid',
  'operation.nullified': 'cid',
  'request.cancelled': 'request',
  'request.expired': 'request',
  'request.failed': 'request',
  'request.rejected': 'request',
  'request.superseded': 'request',
  'signature.produced': 'request',
}

/** Under what an entry that was exported is looked up here. */
export function lookUpOf(body: Uint8Array): string | null {
  const entry = decode<Record<string, unknown>>(body)
  const kind = lookedUpKinds.find((known) => known === entry['kind'])
  return kind === undefined ? null : `${kind} ${String(entry[subjects[kind]])}`
}

/**
 * Whether an entry stands in the index as what it is: what decides by its presence would be passed over
 * without it. An entry that none of the kinds can be in is not decoded.
 */
export function isIndexed(body: Uint8Array, lookUp: string | null): boolean {
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  if (lookUp === null && !lookedUpKinds.some((kind) => text.includes(kind))) return true
  return lookUpOf(body) === lookUp
}

/**
 * Makes the rows again that an entry was written with, so that a restored database forgets no
 * signature: a rival must find it, and its own bytes must get it back. Rows that are there keep what
 * entries do not tell. Secrets of callers are in no entry: those are lost.
 */
export async function putBackRows({ client, sealer }: Deps, body: Uint8Array): Promise<void> {
  const entry = decode<Entry>(body)
  const id = entry['request']
  switch (entry.kind) {
    case 'request.proposed':
      return await putRequest({ client, sealer }, entry, 'approved')
    case 'request.denied':
      return await putRequest({ client, sealer }, entry, 'denied')
    case 'request.cancelled':
      return await setState(client, id, 'cancelled')
    case 'request.superseded':
      return await setState(client, id, 'superseded')
    case 'request.failed':
      return await setState(client, id, 'failed')
    case 'signature.postponed':
      return await setState(client, id, 'approved')
    case 'signature.intended':
      await client.query(
        `update requests set state = 'signing', lease = $2, lease_until = clock_timestamp(),
           intended_at = $3, replaces = $4::uuid[] where id = $1`,
        [id, entry['lease'], new Date(entry.at), entry['replaces']],
      )
      return
    case 'signature.produced':
      return await putSignature({ client, sealer }, entry)
    case 'submission.accepted':
      await setState(client, id, 'submitted')
      return await putSubmission(client, entry, 'accepted')
    case 'submission.refused':
      return await putSubmission(client, entry, 'refused')
    case 'submission.unknown':
      return await putSubmission(client, entry, 'unknown')
    case 'operation.confirmed':
      await setState(client, id, 'confirmed')
      await client.query(
        'update submissions set checked_at = $2, confirmed_at = $2 where request_id = $1',
        [id, new Date(entry.at)],
      )
      return
    case 'did.enrolled':
      await putIdentity({ client, sealer }, entry['did'], entry['caller'], entry.at)
  }
}

async function putRequest({ client, sealer }: Deps, entry: Entry, state: string): Promise<void> {
  const judged = entry as unknown as JudgedRequest & { at: number }
  const { decision } = judged
  const rules =
    decision.kind === 'deny'
      ? decision.findings.map(({ rule }) => rule)
      : 'rules' in decision
        ? decision.rules
        : []
  await client.query(
    `insert into requests (id, caller, key_id, digest, unsigned, did, prev, operation_class, state,
       decision, rules, policy, replaces, created_at, seal)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, '{}', $13, $14)
     on conflict (id) do update set state = excluded.state, lease = null, lease_until = null,
       decision = excluded.decision, rules = excluded.rules, policy = excluded.policy,
       operation_class = excluded.operation_class`,
    [
      judged.request,
      judged.caller,
      judged.key,
      Buffer.from(judged.digest),
      Buffer.from(judged.unsigned),
      judged.did,
      decodeUnsignedOperation(judged.unsigned).operation.prev,
      judged.class,
      state,
      JSON.stringify(decision),
      rules,
      Buffer.from(judged.policy),
      new Date(judged.at),
      sealRow(sealer, 'request', {
        id: judged.request,
        caller: judged.caller,
        keyId: judged.key,
        digest: judged.digest,
        createdAt: new Date(judged.at),
      }),
    ],
  )
}

async function putSignature({ client, sealer }: Deps, entry: Entry): Promise<void> {
  const signature = entry['signature'] as Uint8Array
  const { rows } = await client.query<{ unsigned: Buffer; caller: string; prev: string | null }>(
    `update requests set state = 'returned', lease = null, lease_until = null, signature = $2,
       did = $3, cid = $4, produced_at = $5 where id = $1 returning unsigned, caller, prev`,
    [entry['request'], Buffer.from(signature), entry['did'], entry['cid'], new Date(entry.at)],
  )
  const [row] = rows
  if (row === undefined) return
  const { operation } = decodeUnsignedOperation(new Uint8Array(row.unsigned))
  const encoded = encodeSignedOperation(attachSignature(operation, signature))
  if (cidOfEncoded(encoded) !== entry['cid']) throw new Error('an entry names another CID')
  const kept = {
    cid: entry['cid'],
    did: String(entry['did']),
    requestId: String(entry['request']),
    recordedAt: new Date(entry.at),
  }
  const seal = sealRow(sealer, 'operation', kept)
  await client.query(
    `insert into operations (cid, did, bytes, request_id, nullified, recorded_at, seal)
     values ($1, $2, $3, $4, false, $5, $6) on conflict do nothing`,
    [kept.cid, kept.did, Buffer.from(encoded), kept.requestId, kept.recordedAt, seal],
  )
  if (row.prev === null) {
    await putIdentity({ client, sealer }, entry['did'], row.caller, entry.at)
  }
}

async function putSubmission(client: PoolClient, entry: Entry, outcome: string): Promise<void> {
  await client.query(
    `insert into submissions (request_id, outcome, status, sent_at)
     values ($1, $2, $3, $4)
     on conflict (request_id) do update set outcome = excluded.outcome, status = excluded.status,
       message = null, sent_at = excluded.sent_at, checked_at = null, confirmed_at = null`,
    [entry['request'], outcome, entry['status'] ?? null, new Date(entry.at)],
  )
}

async function putIdentity(
  { client, sealer }: Deps,
  did: unknown,
  caller: unknown,
  at: number,
): Promise<void> {
  await client.query(
    `insert into identities (did, caller, created_at, seal) values ($1, $2, $3, $4)
     on conflict do nothing`,
    [
      did,
      caller,
      new Date(at),
      sealRow(sealer, 'identity', { did: String(did), caller: String(caller) }),
    ],
  )
}

async function setState(client: PoolClient, id: unknown, state: string): Promise<void> {
  await client.query(
    'update requests set state = $2, lease = null, lease_until = null where id = $1',
    [id, state],
  )
}
