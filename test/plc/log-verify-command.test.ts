import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { logVerify } from '../../scripts/online/verify/log.ts'
import { buildLog, keyNamed, rowOf, sign, plcOperation } from './build-log.ts'
import { didOfGenesis } from '../../src/plc/encode.ts'

const folder = mkdtempSync(join(tmpdir(), 'log-verify-'))
const server = await keyNamed('server')
const recovery = await keyNamed('recovery')
const vector = (name: string) =>
  fileURLToPath(new URL(`../vectors/plc-audit-logs/${name}`, import.meta.url))

let out = ''
let err = ''
beforeEach(() => {
  out = ''
  err = ''
  vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => ((out += String(chunk)), true))
  vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => ((err += String(chunk)), true))
})
afterEach(() => vi.restoreAllMocks())
afterAll(() => rmSync(folder, { recursive: true }))

function fileOf(content: unknown): string {
  const file = join(folder, 'log.json')
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content))
  return file
}

describe('holdfast log verify', () => {
  test('0: a valid log is summed up', async () => {
    const log = await buildLog([recovery, server], server, [
      { by: server, hours: 1 },
      { by: recovery, after: 0, hours: 2, rotationKeys: [recovery], nullifies: [1] },
    ])
    expect(await logVerify([fileOf(log)])).toBe(0)
    expect(out).toBe(
      [
        'valid',
        `did: ${log[0]!.did}`,
        `head: ${log[2]!.cid}`,
        'operations: 3',
        'nullified: 1',
        'tombstoned: no',
        'rotation keys: 1',
        `  0 "${recovery.did()}"`,
        '',
      ].join('\n'),
    )
  })

  test('0: as JSON, with the flag before or after the file', async () => {
    const file = vector('valid/log_tombstone.json')
    expect(await logVerify(['--json', file])).toBe(0)
    const before = out
    out = ''
    expect(await logVerify([file, '--json'])).toBe(0)
    expect(out).toBe(before)
    expect(JSON.parse(out)).toEqual({
      valid: true,
      did: 'did:plc:6adr3q2labdllanslzhqkqd3',
      head: expect.stringMatching(/^bafyrei/),
      operations: 2,
      nullified: 0,
      tombstoned: true,
      rotationKeys: [],
    })
  })

  test('1: an invalid log, with entry and rule', async () => {
    const file = vector('invalid/log_invalid_update_tombstoned.json')
    expect(await logVerify([file])).toBe(1)
    expect(out).toBe('invalid: entry 2 of the log breaks R8: prev is a tombstone\n')
    out = ''
    expect(await logVerify([file, '--json'])).toBe(1)
    expect(JSON.parse(out)).toMatchObject({ valid: false, entry: 2, rule: 'R8' })
  })

  test.each([
    '',
    'not JSON',
    '{}',
    '[]',
    '[{}]',
    '[{"did": 7}]',
    '[{"did": "x"}]',
    '['.repeat(1e6),
  ])('1: %.20j is no log', async (content) => {
    expect(await logVerify([fileOf(content)])).toBe(1)
    expect(out).toMatch(/^invalid: [ -~]+\n$/)
  })

  test('what the log says is escaped, in the text and in the JSON', async () => {
    const bad = 'did:key:\u202e\u009b2J\n"'
    const operation = await sign(plcOperation({ rotationKeys: [server.did(), bad] }), server)
    const file = fileOf([rowOf(didOfGenesis(operation), operation, 0)])
    expect(await logVerify([file])).toBe(0)
    expect(out).toMatch(/^[ -~\n]+$/)
    expect(out).toContain('  1 "did:key:\\u{202e}\\u{9b}2J\\u{a}\\""\n')
    out = ''
    expect(await logVerify([file, '--json'])).toBe(0)
    expect(out).toMatch(/^[ -~]+\n$/)
    expect(JSON.parse(out)).toMatchObject({ rotationKeys: [server.did(), bad] })
  })

  test.each([[[]], [['--json']], [['a', 'b']], [['--jsn', 'a']], [['-h']]])(
    '2: %j is wrong usage',
    async (args) => {
      expect(await logVerify(args)).toBe(2)
      expect(err).toBe('usage: holdfast log verify FILE [--json]\n')
      expect(out).toBe('')
    },
  )

  test.each([join(folder, 'missing\u202e.json'), folder])('3: %j cannot be read', async (file) => {
    expect(await logVerify([file])).toBe(3)
    expect(err).toMatch(/^could not read the file: "[ -~]+\n$/)
    expect(out).toBe('')
  })
})
