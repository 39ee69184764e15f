import { describe, expect, test } from 'vitest'
import { cidOf, didOfGenesis } from '../../src/plc/encode.ts'
import { verifyLog } from '../../src/plc/log.ts'
import {
  buildLog,
  keyNamed,
  plcOperation,
  type Row,
  rowOf,
  sign,
  verdictOn,
  verify,
  verifyRows,
} from './build-log.ts'

const server = await keyNamed('server')

describe('CIDs and signatures', () => {
  test('a listed CID that is not the one of the operation is refused', async () => {
    const log = await buildLog([server], server, [{ by: server, hours: 1 }])
    expect(await verdictOn(log.with(1, { ...log[1]!, cid: log[0]!.cid }))).toBe(
      'entry 1 breaks CID',
    )
  })

  test('a changed operation is refused although its CID was computed anew', async () => {
    const log = await buildLog([server], server, [{ by: server, hours: 1 }])
    const operation = { ...log[1]!.operation, alsoKnownAs: ['at://mallory.example.com'] } as never
    expect(await verdictOn(log.with(1, { ...log[1]!, operation, cid: cidOf(operation) }))).toBe(
      'entry 1 breaks R3',
    )
  })

  test('a history older than the limits of today verifies', async () => {
    const operation = await sign(
      plcOperation({
        rotationKeys: [server.did(), server.did(), ...Array<string>(9).fill('did:web:example.com')],
        alsoKnownAs: Array<string>(40).fill('at://alice.example.com'),
        verificationMethods: { ['x'.repeat(100)]: 'y'.repeat(5000), atproto: 'none' },
      }),
      server,
    )
    const rows = [rowOf(didOfGenesis(operation), operation, 0)]
    expect(await verdictOn(rows)).toBe('valid')
  })

  test.each(['__proto__', 'constructor', 'toString', 'asCID', '/', 'bytes'])(
    'an entry with the id %j is an entry like any other',
    async (id) => {
      const methods = JSON.parse(`{${JSON.stringify(id)}: "did:key:zAny"}`) as Record<
        string,
        string
      >
      const fields = { rotationKeys: [server.did()], verificationMethods: methods }
      const operation = await sign(plcOperation(fields), server)
      const rows = [rowOf(didOfGenesis(operation), operation, 0)]
      const verified = await verifyRows(JSON.parse(JSON.stringify(rows)) as Row[])
      expect(Object.entries(verified.data!.verificationMethods)).toEqual([[id, 'did:key:zAny']])
    },
  )
})

describe('hostile JSON', () => {
  test.each([null, {}, 'log', 7, { length: 1, 0: {} }])('%j is no log', async (value) => {
    await expect(
      verifyLog('did:plc:aaaaaaaaaaaaaaaaaaaaaaaa', value, verify),
    ).rejects.toMatchObject({ code: 'malformed' })
  })

  test.each(['did:web:example.com', 'did:plc:short', 'did:plc:AAAAAAAAAAAAAAAAAAAAAAAA', ''])(
    '%j is no did:plc',
    async (did) => {
      await expect(verifyLog(did, [{}], verify)).rejects.toMatchObject({ code: 'malformed' })
    },
  )

  test.each([
    null,
    [],
    {},
    { operation: null },
    { operation: { type: 'constructor' } },
    JSON.parse('{"__proto__": {"operation": {}}}') as object,
  ])('the entry %j is refused', async (entry) => {
    await expect(
      verifyLog('did:plc:aaaaaaaaaaaaaaaaaaaaaaaa', [entry], verify),
    ).rejects.toMatchObject({ rule: 'ENTRY', entry: 0 })
  })

  test.each([
    { field: 'did', value: 'did:plc:bbbbbbbbbbbbbbbbbbbbbbbb', rule: 'ENTRY' },
    { field: 'nullified', value: 'false', rule: 'ENTRY' },
    { field: 'nullified', value: undefined, rule: 'ENTRY' },
    { field: 'cid', value: ['x'], rule: 'CID' },
  ] as const)('an entry with $field $value is refused', async ({ field, value, rule }) => {
    const [row] = await buildLog([server], server)
    await expect(verifyLog(row!.did, [{ ...row, [field]: value }], verify)).rejects.toMatchObject({
      rule,
      entry: 0,
    })
  })

  test('an unknown field is left alone in an entry and refused in an operation', async () => {
    const [row] = await buildLog([server], server)
    expect(await verdictOn([{ ...row, seq: 7 }])).toBe('valid')
    expect(await verdictOn([{ ...row, operation: { ...row!.operation, seq: 7 } }])).toBe(
      'entry 0 breaks ENTRY',
    )
  })

  test('an operation above 100 kB and a log above 100,000 entries are refused', async () => {
    const [row] = await buildLog([server], server)
    const operation = { ...row!.operation, alsoKnownAs: ['x'.repeat(100_001)] }
    expect(await verdictOn([{ ...row, operation }])).toBe('entry 0 breaks ENTRY')
    const wide = { ...row!.operation, alsoKnownAs: ['é'.repeat(60_000)] }
    expect(await verdictOn([{ ...row, operation: wide }])).toBe('entry 0 breaks ENTRY')
    await expect(verifyRows(Array(100_001).fill(row))).rejects.toMatchObject({ code: 'too-large' })
  })

  test('text of the log stands in the message only quoted and escaped', async () => {
    const [row] = await buildLog([server], server)
    const operation = {
      type: 'plc_tombstone',
      prev: 'x"\n\u202e\u001b[2J',
      sig: row!.operation.sig,
    }
    const cid = cidOf(operation as never)
    const error: unknown = await verifyRows([row, { ...row, operation, cid }]).catch(
      (e: unknown) => e,
    )
    expect((error as Error).message).toBe(
      'entry 1 of the log breaks R2: prev is unknown: "x\\"\\u{a}\\u{202e}\\u{1b}[2J"',
    )
  })
})
