import { describe, expect, test } from 'vitest'
import { didOfGenesis } from '../../src/plc/encode.ts'
import { verifyLog } from '../../src/plc/log.ts'
import type { LegacyCreate } from '../../src/plc/operation.ts'
import {
  buildLog,
  extendLog,
  keyNamed,
  p256KeyNamed,
  plcOperation,
  rowOf,
  sign,
  signLegacy,
  verdictOn,
  verify,
  verifyRows,
} from './build-log.ts'

const recovery = await keyNamed('recovery')
const server = await keyNamed('server')
const stranger = await keyNamed('stranger')

describe('R1 genesis', () => {
  test('one signed by one of its own rotation keys is a log', async () => {
    const log = await buildLog([recovery, server], server)
    const verified = await verifyRows(log)
    expect(verified).toMatchObject({ did: log[0]!.did, tombstoned: false })
    expect(verified.head.cid).toBe(log[0]!.cid)
    expect(verified.data?.rotationKeys).toEqual([recovery.did(), server.did()])
  })

  test('a P-256 key signs as well', async () => {
    const key = await p256KeyNamed('enclave')
    expect(await verdictOn(await buildLog([key], key))).toBe('valid')
  })

  test('one signed by a stranger is refused', async () => {
    expect(await verdictOn(await buildLog([recovery, server], stranger))).toBe('entry 0 breaks R1')
  })

  test('one without rotation keys is refused, for nobody can have signed it', async () => {
    expect(await verdictOn(await buildLog([], server))).toBe('entry 0 breaks R1')
  })

  test('an unparsable rotation key before the signer fails it, one after the signer does not', async () => {
    const junk = { did: () => 'did:key:zJunk' }
    expect(await verdictOn(await buildLog([junk, server], server))).toBe('entry 0 breaks R1')
    expect(await verdictOn(await buildLog([server, junk], server))).toBe('valid')
  })

  test('one with a prev is refused', async () => {
    const [first] = await buildLog([server], server)
    const operation = await sign(
      plcOperation({ rotationKeys: [server.did()], prev: first!.cid }),
      server,
    )
    expect(await verdictOn([rowOf(didOfGenesis(operation), operation, 0)])).toBe(
      'entry 0 breaks R1',
    )
  })

  test('a tombstone is refused', async () => {
    const [first] = await buildLog([server], server)
    const operation = await sign({ type: 'plc_tombstone', prev: first!.cid }, server)
    expect(await verdictOn([rowOf(didOfGenesis(operation), operation, 0)])).toBe(
      'entry 0 breaks R1',
    )
  })

  test('one that makes another DID is refused', async () => {
    const [row] = await buildLog([server], server)
    const did = 'did:plc:aaaaaaaaaaaaaaaaaaaaaaaa'
    expect(await verdictOn([{ ...row, did }])).toBe('entry 0 breaks R1')
  })

  test('an empty log is refused', async () => {
    await expect(verifyLog('did:plc:aaaaaaaaaaaaaaaaaaaaaaaa', [], verify)).rejects.toMatchObject({
      rule: 'R1',
      entry: 0,
    })
  })
})

describe('legacy genesis', () => {
  const legacy = (fields: Partial<LegacyCreate> = {}): LegacyCreate => ({
    type: 'create',
    signingKey: server.did(),
    recoveryKey: recovery.did(),
    handle: 'alice.example.com',
    service: 'pds.example.com',
    prev: null,
    ...fields,
  })

  test.each(['signing', 'recovery'])('its %s key may sign it', async (which) => {
    const operation = await signLegacy(legacy(), which === 'signing' ? server : recovery)
    const verified = await verifyRows([rowOf(didOfGenesis(operation), operation, 0)])
    expect(verified.data).toEqual({
      rotationKeys: [recovery.did(), server.did()],
      verificationMethods: { atproto: server.did() },
      alsoKnownAs: ['at://alice.example.com'],
      services: {
        atproto_pds: { type: 'AtprotoPersonalDataServer', endpoint: 'https://pds.example.com' },
      },
    })
  })

  test('an update extends it, and its recovery key outranks its signing key', async () => {
    const operation = await signLegacy(legacy(), server)
    const first = [rowOf(didOfGenesis(operation), operation, 0)]
    const keys = [recovery, server]
    const log = await extendLog(first, [
      { by: server, hours: 1, rotationKeys: keys },
      { by: recovery, after: 0, hours: 2, rotationKeys: keys, nullifies: [1] },
    ])
    await expect(verifyRows(log)).resolves.toMatchObject({ head: { cid: log[2]!.cid } })
    const weak = await extendLog(first, [
      { by: recovery, hours: 1, rotationKeys: keys },
      { by: server, after: 0, hours: 2, rotationKeys: keys, nullifies: [1] },
    ])
    expect(await verdictOn(weak)).toBe('entry 2 breaks R4')
  })

  test('it is refused anywhere but at the start', async () => {
    const log = await buildLog([server], server)
    const operation = await signLegacy(legacy(), server)
    expect(await verdictOn([...log, rowOf(log[0]!.did, operation, 1)])).toBe('entry 1 breaks R2')
  })
})

describe('R2 prev', () => {
  test('an unknown prev is refused', async () => {
    const log = await buildLog([server], server, [{ by: server, hours: 1 }])
    expect(
      await verdictOn([
        log[0],
        ...(await extendLog([log[1]!], [{ by: server, hours: 2 }])).slice(1),
      ]),
    ).toBe('entry 1 breaks R2')
  })

  test('a nullified prev is refused', async () => {
    const log = await buildLog([recovery, server], server, [
      { by: server, hours: 1 },
      { by: recovery, after: 0, hours: 2, nullifies: [1] },
      { by: server, after: 1, hours: 3 },
    ])
    expect(await verdictOn(log)).toBe('entry 3 breaks R2')
  })

  test('a second genesis is refused', async () => {
    const log = await buildLog([server], server)
    const again = await sign(plcOperation({ rotationKeys: [server.did()], services: {} }), server)
    expect(await verdictOn([...log, rowOf(log[0]!.did, again, 1)])).toBe('entry 1 breaks R2')
  })

  test('the same genesis again is refused', async () => {
    const log = await buildLog([server], server)
    expect(await verdictOn([...log, rowOf(log[0]!.did, log[0]!.operation, 1)])).toBe(
      'entry 1 breaks R2',
    )
  })
})

describe('R3 extend', () => {
  test('any rotation key of the head extends it, at any time', async () => {
    const log = await buildLog([recovery, server], server, [
      { by: recovery, hours: 1 },
      { by: server, hours: 10_000 },
    ])
    await expect(verifyRows(log)).resolves.toMatchObject({ head: { cid: log[2]!.cid } })
  })

  test('a stranger does not', async () => {
    expect(await verdictOn(await buildLog([server], server, [{ by: stranger, hours: 1 }]))).toBe(
      'entry 1 breaks R3',
    )
  })

  test('a key that the head dropped does not', async () => {
    const log = await buildLog([recovery, server], server, [
      { by: recovery, hours: 1, rotationKeys: [recovery] },
      { by: server, hours: 2 },
    ])
    expect(await verdictOn(log)).toBe('entry 2 breaks R3')
  })

  test('nothing extends a head without rotation keys', async () => {
    const log = await buildLog([server], server, [{ by: server, hours: 1, rotationKeys: [] }])
    await expect(verifyRows(log)).resolves.toMatchObject({ tombstoned: false })
    expect(await verdictOn(await extendLog(log, [{ by: server, hours: 2 }]))).toBe(
      'entry 2 breaks R3',
    )
  })
})
