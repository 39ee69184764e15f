import { rm } from 'node:fs/promises'
import { afterAll, describe, expect, test } from 'vitest'
import { encodeEntry } from '../../../src/audit/entry.ts'
import { appendLeaves, emptyRange, hashLeaf, rootOf } from '../../../src/audit/merkle.ts'
import { runAuditVerify } from '../../support/audit-verify.ts'
import {
  beginning,
  counted,
  keepCheckpoint,
  logSigner,
  writeExport,
} from '../../support/exported-log.ts'

// What was put back into a database that had lost entries is held against the tree of the log itself.

const signer = logSigner()
const START = Date.UTC(2026, 0, 1)
const made: string[] = []
afterAll(async () => {
  for (const dir of made) await rm(dir, { recursive: true })
})

const bodies = [beginning(signer, START), ...Array.from({ length: 700 }, (_, n) => counted(n))]
const rootAt = (size: number) =>
  rootOf(appendLeaves(emptyRange, bodies.slice(0, size).map(hashLeaf)))

async function judged(size: number, root: Uint8Array, had = 3) {
  const restored = { kind: 'database.restored', had, size, root } as const
  const said = encodeEntry(restored, new Date(START + 1000)).body
  const log = [...bodies, said]
  const dir = await writeExport(log, signer)
  made.push(dir)
  const kept = await keepCheckpoint(log, signer)
  const { code, text } = await runAuditVerify(dir, '--checkpoint', kept, '--json')
  const { findings } = JSON.parse(text) as { findings: { index: number; message: string }[] }
  return { code, findings }
}

describe('a restore', () => {
  test.each([1, 255, 256, 257, 512, 700, 701])(
    'of a log of %i entries is that log',
    async (size) => {
      expect(await judged(size, rootAt(size), 0)).toEqual({ code: 0, findings: [] })
    },
  )

  test.each([3, 256, 300, 701])('of another tree of %i entries is found', async (size) => {
    expect(await judged(size, rootAt(size - 1))).toEqual({
      code: 1,
      findings: [{ index: 701, message: `another root than that of ${size} entries was put back` }],
    })
  })

  test('of more than there was is found', async () => {
    expect(await judged(702, rootAt(701))).toMatchObject({ code: 1 })
    expect(await judged(5, rootAt(5), 6)).toMatchObject({ code: 1 })
  })
})
