import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { folderAt } from '../../scripts/online/audit-export.ts'
import { openTrust } from '../../scripts/online/verify/audit/trust.ts'
import { verifyFolder } from '../../scripts/online/verify/audit/verify.ts'
import { parseProof, verifyProof } from '../../src/audit/proof.ts'
import { verifyEd25519 } from '../../src/ed25519/openssl.ts'
import { exportLog } from '../../src/sequencer/export-log.ts'
import { proveEntry } from '../../src/sequencer/prove.ts'
import { bodiesOf, openTestLog } from '../support/audit-log.ts'
import type { TestLog } from '../support/audit-log.ts'
import { createTestDatabase } from '../support/postgres.ts'

// The log in a real Postgres, exported while it grows, and judged without it.

const database = await createTestDatabase()
let log: TestLog
let dir: string

beforeAll(async () => {
  log = await openTestLog(database)
  dir = await mkdtemp(join(tmpdir(), 'holdfast-export-'))
})
afterAll(async () => {
  await log.close()
  await database.drop()
  await rm(dir, { recursive: true })
})

async function trustOf() {
  const held = await log.held.read()
  return { key: log.signerFor(held?.origin ?? '').key, verify: verifyEd25519 }
}

async function exportAgain() {
  await log.settle()
  const { size } = await exportLog(log.store, folderAt(dir), {
    ...(await trustOf()),
    progress: () => {},
  })
  await writeFile(`${dir}/kept`, (await log.store.checkpoint())?.note ?? '')
  return size
}

async function verdict() {
  const given = { dir, trust: null, checkpoint: `${dir}/kept`, maxAge: 1 }
  return (await verifyFolder(dir, openTrust(given, 0))).verdict
}

test('an export is sound after each run, across the borders of its files', async () => {
  for (const count of [10, 245, 1, 300, 700]) {
    await log.append(count)
    expect(await exportAgain()).toBe((await bodiesOf(log.pool)).length)
    expect(await verdict()).toBe('sound')
  }
})

test('a receipt of any entry proves it, and no other', async () => {
  const bodies = await bodiesOf(log.pool)
  const { key, verify } = await trustOf()
  for (const index of [0, 1, 255, 256, 511, 512, bodies.length - 1]) {
    const proof = parseProof(Buffer.from(await proveEntry(log.store, index, { key, verify })))
    expect(verifyProof(proof, bodies[index]!, { keys: [key], verify }).size).toBe(bodies.length)
    expect(() =>
      verifyProof(proof, bodies[index - 1] ?? bodies[5]!, { keys: [key], verify }),
    ).toThrow('does not lead')
  }
  await expect(proveEntry(log.store, bodies.length, { key, verify })).rejects.toThrow(RangeError)
})

test('an entry that a superuser changed is not exported as if it had been checkpointed', async () => {
  const fresh = await mkdtemp(join(tmpdir(), 'holdfast-export-'))
  await log.outside.query(`
    alter table audit_entries disable trigger all;
    update audit_entries set body = body || '\\x00' where idx = 7`)
  const options = { ...(await trustOf()), progress: () => {} }
  await expect(exportLog(log.store, folderAt(fresh), options)).rejects.toThrow('another root')
  await rm(fresh, { recursive: true })
})
