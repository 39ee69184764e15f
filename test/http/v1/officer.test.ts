import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RequestView } from '../../../src/api/request.ts'
import type { EntryList } from '../../../src/api/audit.ts'
import { decodeEvidence } from '../../../src/approval/evidence.ts'
import { parseRequester } from '../../../src/approval/matter.ts'
import type { Matter } from '../../../src/approval/matter.ts'
import { callPreimage, formatCallAuthorization } from '../../../src/approval/officer-call.ts'
import type { OfficerCall } from '../../../src/approval/officer-call.ts'
import { AuditError } from '../../../src/audit/error.ts'
import { parseProof, verifyProof } from '../../../src/audit/proof.ts'
import { createClient } from '../../../src/client/client.ts'
import type { HoldfastClient } from '../../../src/client/client.ts'
import { verifyEd25519 } from '../../../src/ed25519/openssl.ts'
import { curveOrder } from '../../../src/plc/compact.ts'
import { keyNamed } from '../../plc/build-log.ts'
import { persons, rosterYaml } from '../../policy/officers.ts'
import { movedTo } from '../../support/approving.ts'
import { saidBy, withOfficers } from '../../support/officers.ts'
import { genesisOf } from '../../support/operations.ts'
import { bearerOf, startService } from '../../support/service.ts'
import type { Service } from '../../support/service.ts'

// Who is let in as an officer, at the doors of a running service with real Postgres.

const audience = 'http://localhost:2590'
let service: Service
let pds: HoldfastClient
let request: RequestView

beforeAll(async () => {
  service = await startService({
    officers: { roster: rosterYaml(Object.values(persons)), policy: withOfficers },
    publicUrl: audience,
  })
  const { accessKeyId, token } = service.pds
  pds = createClient({ url: service.url, credential: { bearer: `${accessKeyId}.${token}` } })
  request = await asked('first')
})
afterAll(async () => await service.stop())

async function asked(name: string): Promise<RequestView> {
  const { id } = await pds.propose({
    key: 'pds',
    operation: genesisOf(name, [service.keyDid]),
  })
  await pds.sign(id)
  const { did, cid, signedOperation } = await pds.submit(id)
  const account = { did: did!, cid: cid!, operation: signedOperation! }
  return await pds.propose({ key: 'pds', operation: movedTo(account, 'new') })
}

type Signed = Partial<OfficerCall> & { person?: string; spoil?: (signature: Uint8Array) => void }

/** What a person's command line signs; of what is really called, something else may be signed. */
async function authorizationOf(call: Signed): Promise<string> {
  const { person = 'alice', spoil = () => {}, ...fields } = call
  const key = await keyNamed(`${person} cli`)
  const signed = {
    audience,
    method: 'GET',
    target: `/v1/requests/${request.id}`,
    body: new Uint8Array(),
    time: Math.floor(Date.now() / 1000),
    nonce: Uint8Array.from(randomBytes(16)),
    ...fields,
  }
  const signature = Uint8Array.from(await key.sign(callPreimage(signed)))
  spoil(signature)
  return formatCallAuthorization({ did: key.did(), ...signed, signature })
}

async function statusOf(authorization: string, target = `/v1/requests/${request.id}`) {
  const { status } = await fetch(`${service.url}${target}`, { headers: { authorization } })
  return status
}

describe('an officer’s signed call', () => {
  test('is let in, and once', async () => {
    const authorization = await authorizationOf({})
    expect(await statusOf(authorization)).toBe(200)
    expect(await statusOf(authorization)).toBe(401)
    expect(await statusOf(await authorizationOf({}))).toBe(200)
  })

  const now = () => Math.floor(Date.now() / 1000)
  test.each<[string, () => Signed]>([
    ['for another service', () => ({ audience: 'https://holdfast.example.com' })],
    ['for another method', () => ({ method: 'POST' })],
    ['for another path', () => ({ target: '/v1/requests' })],
    ['with a query that was not signed', () => ({ target: `/v1/requests/${request.id}?a=b` })],
    ['with a body that was not signed', () => ({ body: Uint8Array.of(1) })],
    ['from two minutes ago', () => ({ time: now() - 120 })],
    ['from two minutes ahead', () => ({ time: now() + 120 })],
    ['of a stranger', () => ({ person: 'mallory' })],
    ['of a person who is no officer', () => ({ person: 'erin' })],
    ['with S in its other form', () => ({ spoil: otherS })],
    ['with one bit changed', () => ({ spoil: (signature) => void (signature[9]! ^= 1) })],
  ])('%s is not', async (_what, call) => {
    expect(await statusOf(await authorizationOf(call()))).toBe(401)
  })
})

test('an officer reads the log that a checkpoint covers, with a receipt for each entry', async () => {
  const { auditLog } = service.context
  while ((await auditLog.sequence()) > 0);
  await auditLog.look()
  const get = async (target: string) =>
    await fetch(`${service.url}${target}`, {
      headers: { authorization: await authorizationOf({ target }) },
    })
  const page = (await (await get('/v1/audit/entries?from=1&limit=2')).json()) as EntryList
  expect(page.size).toBeGreaterThan(3)
  expect(page.entries.map(({ index }) => index)).toEqual([1, 2])
  const held = (await auditLog.held.read())!
  const { key } = auditLog.signerFor(held.origin)!
  for (const { index, body } of page.entries) {
    const receipt = parseProof(Buffer.from(await (await get(`/v1/audit/proof/${index}`)).text()))
    const entry = Uint8Array.from(Buffer.from(body, 'base64'))
    const keys = { keys: [key], verify: verifyEd25519 }
    expect(verifyProof(receipt, entry, keys)).toMatchObject({ size: page.size })
    entry[0]! ^= 1
    expect(() => verifyProof(receipt, entry, keys)).toThrow(AuditError)
  }
  const past = (await (await get(`/v1/audit/entries?from=${page.size}`)).json()) as EntryList
  expect(past).toEqual({ size: page.size, entries: [] })
  for (const query of ['from=-1', 'limit=0', 'limit=101', 'from=1&from=2', 'x=1', 'from=1e3']) {
    expect((await get(`/v1/audit/entries?${query}`)).status).toBe(400)
  }
  for (const index of [page.size, 'x', '01', '-1']) {
    expect((await get(`/v1/audit/proof/${index}`)).status).toBe(404)
  }
})

function otherS(signature: Uint8Array): void {
  const hex = (bytes: Uint8Array) => BigInt(`0x${Buffer.from(bytes).toString('hex')}`)
  const other = hex(curveOrder('K-256')) - hex(signature.subarray(32))
  signature.set(Buffer.from(other.toString(16).padStart(64, '0'), 'hex'), 32)
}

/** The matter as an honest command line takes it from what is shown. */
function matterOf({ approval, digest }: RequestView): Matter {
  const { policy, ...shown } = approval!
  return {
    ...shown,
    subject: 'op',
    request: Uint8Array.from(Buffer.from(digest, 'hex')),
    key: shown.keyDid,
    requester: parseRequester(shown.requester)!,
    policy: { ...policy, digest: Uint8Array.from(Buffer.from(policy.digest, 'hex')) },
    terms: shown,
  }
}

/** `by` brings what `of` has signed. */
async function approve(view: RequestView, by: string, of = by) {
  const said = await saidBy(of, matterOf(view), service.context.policies.roster!)
  return await send(view, by, said)
}

async function send(view: RequestView, by: string, said: Awaited<ReturnType<typeof saidBy>>) {
  const evidence = decodeEvidence(said.evidence)
  if (evidence.kind !== 'did:key') throw new Error(evidence.kind)
  const target = `/v1/requests/${view.id}/approvals`
  const body = JSON.stringify({
    statement: Buffer.from(said.statement).toString('base64'),
    evidence: { ...evidence, signature: Buffer.from(evidence.signature).toString('base64url') },
  })
  const bytes = new TextEncoder().encode(body)
  const authorization =
    by === 'pds'
      ? bearerOf(service.pds)
      : await authorizationOf({ person: by, method: 'POST', target, body: bytes })
  const response = await fetch(`${service.url}${target}`, {
    method: 'POST',
    headers: { authorization, 'content-type': 'application/json' },
    body,
  })
  const answer = (await response.json()) as { code?: string; approval?: RequestView['approval'] }
  return { status: response.status, ...answer }
}

describe('an approval at the door', () => {
  test('is kept, and the same words again are no more', async () => {
    const view = await asked('kept')
    const said = await saidBy('alice', matterOf(view), service.context.policies.roster!)
    for (let turn = 0; turn < 2; turn += 1) {
      const { status, approval } = await send(view, 'alice', said)
      expect(status).toBe(200)
      expect(approval).toMatchObject({
        standing: 'waiting',
        said: [{ person: 'alice', decision: 'approve', by: 'did:key', counts: true }],
      })
    }
  })

  test('is not brought by another officer, nor by a caller', async () => {
    const view = await asked('brought')
    expect(await approve(view, 'carol', 'alice')).toMatchObject({ status: 400, code: 'malformed' })
    expect(await approve(view, 'pds', 'alice')).toMatchObject({ status: 403, code: 'forbidden' })
    expect((await pds.readRequest(view.id)).approval?.said).toEqual([])
  })

  test('of one request is void for another', async () => {
    const [view, other] = [await asked('one'), await asked('other')]
    const said = await saidBy('alice', matterOf(view), service.context.policies.roster!)
    expect(await send(other, 'alice', said)).toMatchObject({ status: 409, code: 'void' })
    expect((await pds.readRequest(other.id)).approval?.said).toEqual([])
  })
})
