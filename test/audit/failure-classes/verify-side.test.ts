import { rm } from 'node:fs/promises'
import * as dagCbor from '@ipld/dag-cbor'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openTrust } from '../../../scripts/online/verify/audit/trust.ts'
import { verifyFolder } from '../../../scripts/online/verify/audit/verify.ts'
import { decodeEntry } from '../../../src/audit/decode.ts'
import { encodeEntry } from '../../../src/audit/entry.ts'
import { custodyLog } from '../../support/custody-log.ts'
import { beginning, keepCheckpoint, logSigner, writeExport } from '../../support/exported-log.ts'

// How audit chains on Postgres are known to fail, as far as a verifier has to see it. What the database
// itself must not let happen is shown beside the sequencer.

const signer = logSigner()
const made: string[] = []
let bodies: Uint8Array[] = []
let kept = ''

beforeAll(async () => {
  const entries = await custodyLog()
  bodies = [beginning(signer, decodeEntry(entries[0]!).at), ...entries]
  kept = await keepCheckpoint(bodies, signer)
})
afterAll(async () => {
  for (const dir of made) await rm(dir, { recursive: true })
})

async function verify(entries: readonly Uint8Array[], checkpoint = kept) {
  const dir = await writeExport(entries, signer)
  made.push(dir)
  return await verifyFolder(dir, openTrust({ dir, trust: null, checkpoint, maxAge: 1 }, 0))
}

test('as it was written, it is sound', async () => {
  expect(await verify(bodies)).toMatchObject({ verdict: 'sound', entries: bodies.length })
})

test('audit-f1-fork: two histories of one size are told apart by what was kept of one', async () => {
  const other = [
    ...bodies.slice(0, -1),
    encodeEntry({ kind: 'did.enrolled', did: 'did:plc:x', caller: 'pds', head: 'y' }, new Date())
      .body,
  ]
  expect((await verify(other)).verdict).toBe('tampered')
})

test('audit-f2-hashed-not-stored: what is hashed are the bytes that are judged, each of them', async () => {
  const report = await verify(bodies)
  expect(report.entries).toBe(bodies.length)
  expect(report.signatures).toBeGreaterThan(5)
  for (const body of bodies) {
    const { at, entry } = decodeEntry(body)
    expect(Buffer.compare(encodeEntry(entry, new Date(at)).body, body)).toBe(0)
  }
})

describe('audit-f3-dropped-fields: a change anywhere inside an entry is seen', () => {
  test('in every nested field of a decision', async () => {
    const at = bodies.findIndex((body) => decodeEntry(body).entry.kind === 'request.denied')
    const entry = dagCbor.decode<{ decision: { findings: { rule: string; message: string }[] } }>(
      bodies[at]!,
    )
    const other = structuredClone(entry)
    other.decision.findings[0]!.message += '.'
    const forged = bodies.with(at, new Uint8Array(dagCbor.encode(other)))
    const keptForged = await keepCheckpoint(forged, signer)
    expect((await verify(forged)).verdict).toBe('tampered')
    expect((await verify(forged, keptForged)).verdict).toBe('tampered')
  })
})

test('audit-f4-order: the place in the log is the order, and clocks that lag are no break', async () => {
  const enrolled = (at: number, did: string) =>
    encodeEntry({ kind: 'did.enrolled', did, caller: 'pds', head: 'h' }, new Date(at)).body
  const now = decodeEntry(bodies.at(-1)!).at
  const lagging = [...bodies, enrolled(now + 20_000, 'did:plc:a'), enrolled(now, 'did:plc:b')]
  expect((await verify(lagging)).verdict).toBe('sound')
  const swapped = bodies.with(3, bodies[4]!).with(4, bodies[3]!)
  expect((await verify(swapped, await keepCheckpoint(swapped, signer))).verdict).toBe('tampered')
})

test('audit-f5-truncation: a tail that is cut off, and a log that is gone, are no sound log', async () => {
  expect((await verify(bodies.slice(0, -1))).verdict).toBe('tampered')
  expect((await verify(bodies.slice(0, 1))).verdict).toBe('tampered')
  const dir = await writeExport(bodies.slice(0, -1), signer)
  made.push(dir)
  const trust = openTrust({ dir, trust: null, checkpoint: null, maxAge: 1 }, 0)
  expect((await verifyFolder(dir, trust)).verdict).toBe('incomplete')
})

test('audit-f8-verifier-not-run: nothing checked is never sound', async () => {
  const dir = await writeExport(bodies, signer)
  made.push(dir)
  await rm(`${dir}/tile/entries`, { recursive: true })
  const trust = openTrust({ dir, trust: null, checkpoint: kept, maxAge: 1 }, 0)
  expect(await verifyFolder(dir, trust)).toMatchObject({ verdict: 'incomplete', entries: 0 })
})

test('audit-f9-erasure: no entry holds a name, an address of mail or network, or free text', () => {
  const seeded = /@|\b(?:\d{1,3}\.){3}\d{1,3}\b|[0-9a-f]{1,4}(?::[0-9a-f]{0,4}){4,}/i
  for (const body of bodies) {
    const { entry } = decodeEntry(body)
    const words = wordsOf(entry).filter((word) => !word.startsWith('did:key:'))
    expect(words.filter((word) => seeded.test(word))).toEqual([])
  }
})

function wordsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return []
  return Object.values(value).flatMap(wordsOf)
}
