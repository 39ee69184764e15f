import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { openVerifier } from '../../src/ecdsa/native.ts'
import type { LogRule } from '../../src/plc/error.ts'
import { verifyLog } from '../../src/plc/log.ts'

const FOLDER = new URL('../vectors/plc-audit-logs/', import.meta.url)
const { verify } = openVerifier()

const BROKEN: Record<string, { rule: LogRule; entry: number }> = {
  'log_invalid_nullification_too_slow.json': { rule: 'R5', entry: 2 },
  'log_invalid_sig_b64_newline.json': { rule: 'SIGNATURE', entry: 0 },
  'log_invalid_sig_b64_padding_chars.json': { rule: 'SIGNATURE', entry: 0 },
  'log_invalid_sig_der.json': { rule: 'R1', entry: 0 },
  'log_invalid_sig_k256_high_s.json': { rule: 'R1', entry: 0 },
  'log_invalid_update_tombstoned.json': { rule: 'R8', entry: 2 },
}

describe('published vectors', () => {
  test.each(readdirSync(new URL('valid/', FOLDER)))('%s verifies', async (file) => {
    const log = readVector(`valid/${file}`)
    const verified = await verifyLog(log[0]!.did, log, verify)
    expect(verified.head.cid).toBe(log.findLast((row) => !row.nullified)!.cid)
    expect(verified.entries.map((entry) => entry.nullified)).toEqual(
      log.map((row) => row.nullified),
    )
  })

  test.each(readdirSync(new URL('invalid/', FOLDER)))('%s is refused', async (file) => {
    const log = readVector(`invalid/${file}`)
    await expect(verifyLog(log[0]!.did, log, verify)).rejects.toMatchObject({
      name: 'PlcError',
      code: 'invalid-log',
      ...BROKEN[file]!,
    })
  })

  test('all twelve are here', () => {
    expect(readdirSync(new URL('valid/', FOLDER))).toHaveLength(6)
    expect(readdirSync(new URL('invalid/', FOLDER)).sort()).toEqual(Object.keys(BROKEN).sort())
  })
})

function readVector(file: string): { did: string; cid: string; nullified: boolean }[] {
  return JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8')) as ReturnType<typeof readVector>
}
