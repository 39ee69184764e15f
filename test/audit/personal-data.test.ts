import { afterAll, beforeAll, expect, test } from 'vitest'
import { decode } from '@ipld/dag-cbor'
import { createClient } from '../../src/client/client.ts'
import type { PlcOperation } from '../../src/plc/operation.ts'
import { setContact } from '../../src/store/notices.ts'
import { persons, rosterYaml } from '../policy/officers.ts'
import { movedTo } from '../support/approving.ts'
import { bodiesOf } from '../support/audit-log.ts'
import { withOfficers } from '../support/officers.ts'
import { genesisOf } from '../support/operations.ts'
import { startService } from '../support/service.ts'
import type { Service } from '../support/service.ts'

// Entries are for ever: whoever asks to be forgotten must not stand in one. What a PLC operation holds is
// public and stands in the directory's own log for ever too.

/** All that the service is told of persons here. */
const seeded = [
  'alice.liddell@wonderland.example',
  'Alice Liddell',
  '203.0.113.77',
  '2001:db8::77',
  'Mozilla/5.0 (seeded)',
  'https://hooks.example/seeded',
]
const contacts = ['alice', 'bob'] as const

let service: Service

beforeAll(async () => {
  service = await startService({
    officers: { roster: rosterYaml(Object.values(persons)), policy: withOfficers },
    publicUrl: 'http://localhost:2590',
  })
})
afterAll(async () => await service.stop())

test('no entry of a full log holds a name, an address of mail or network, or words of a caller', async () => {
  const { db } = service.context
  for (const person of contacts) await setContact(db, { person, email: `${person}.${seeded[0]}` })
  const { accessKeyId, token } = service.pds
  const bearer = `${accessKeyId}.${token}`
  const client = createClient({ url: service.url, credential: { bearer } })
  const { id } = await client.propose({
    key: 'pds',
    operation: genesisOf('private', [service.keyDid]),
  })
  await client.sign(id)
  const { did, cid, signedOperation } = await client.submit(id)
  const account = { did: did!, cid: cid!, operation: signedOperation! }
  // One that officers are asked about, one that is denied, and one that nobody understands.
  await client.propose({ key: 'pds', operation: movedTo(account, 'new') })
  const headers = {
    authorization: `Bearer ${bearer}`,
    'content-type': 'application/json',
    'user-agent': seeded[4]!,
    'x-forwarded-for': `${seeded[2]}, ${seeded[3]}`,
    referer: seeded[5]!,
  }
  const { sig: _, ...before } = signedOperation as PlcOperation & { sig: string }
  const withoutOurKey = { ...before, rotationKeys: [], prev: cid }
  for (const body of [
    JSON.stringify({ key: 'pds', operation: withoutOurKey }),
    JSON.stringify({ key: seeded[1], note: seeded[0] }),
  ]) {
    await fetch(`${service.url}/v1/requests`, { method: 'POST', headers, body })
  }
  const { auditLog } = service.context
  while ((await auditLog.sequence()) > 0);

  const bodies = await bodiesOf(service.context.db.$client)
  const kinds = new Set(bodies.map((body) => decode<{ kind: string }>(body).kind))
  for (const kind of [
    'trust.initialised',
    'request.proposed',
    'request.denied',
    'signature.produced',
  ]) {
    expect(kinds).toContain(kind)
  }
  const log = Buffer.concat(bodies.map((body) => Buffer.from(body)))
  const words = [...seeded, ...contacts.map((person) => `${person}.${seeded[0]}`)]
  expect(words.filter((word) => log.includes(word))).toEqual([])
  // The search finds what is there.
  expect(log.includes(service.keyDid)).toBe(true)
})
