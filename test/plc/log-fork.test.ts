import type { Keypair } from '@atproto/crypto'
import { describe, expect, test } from 'vitest'
import { buildLog, extendLog, keyNamed, rowOf, verdictOn, verifyRows } from './build-log.ts'

const recovery = await keyNamed('recovery')
const server = await keyNamed('server')

describe('R4 fork', () => {
  const fork = (by: Keypair, first: Keypair) =>
    buildLog([recovery, server], server, [
      { by: first, hours: 1 },
      { by, after: 0, hours: 2, nullifies: [1] },
    ])

  test('a stronger key than the one that signed first after prev forks', async () => {
    const verified = await verifyRows(await fork(recovery, server))
    expect(verified.entries.map((entry) => entry.nullified)).toEqual([false, true, false])
    expect(verified.head).toBe(verified.entries[2])
  })

  test('the same key does not', async () => {
    expect(await verdictOn(await fork(server, server))).toBe('entry 2 breaks R4')
    expect(await verdictOn(await fork(recovery, recovery))).toBe('entry 2 breaks R4')
  })

  test('a weaker key does not', async () => {
    expect(await verdictOn(await fork(server, recovery))).toBe('entry 2 breaks R4')
  })

  test('the keys at the fork point count, not those of the head', async () => {
    const log = await buildLog([recovery, server], server, [
      { by: server, hours: 1, rotationKeys: [server] },
      { by: recovery, after: 0, hours: 2, nullifies: [1] },
    ])
    await expect(verifyRows(log)).resolves.toMatchObject({ head: { cid: log[2]!.cid } })
    const promoted = await buildLog([recovery, server], server, [
      { by: recovery, hours: 1, rotationKeys: [server, recovery] },
      { by: server, after: 0, hours: 2, nullifies: [1] },
    ])
    expect(await verdictOn(promoted)).toBe('entry 2 breaks R4')
  })

  test('of a key listed twice the lowest index counts', async () => {
    const keys = [recovery, server, recovery]
    const log = await buildLog(keys, server, [
      { by: recovery, hours: 1, rotationKeys: keys },
      { by: server, after: 0, hours: 2, nullifies: [1] },
    ])
    expect(await verdictOn(log)).toBe('entry 2 breaks R4')
  })

  test('a fork from the middle nullifies what follows it and nothing before', async () => {
    const log = await buildLog([recovery, server], server, [
      { by: server, hours: 1 },
      { by: server, hours: 2 },
      { by: server, hours: 3 },
      { by: recovery, after: 1, hours: 4, nullifies: [2, 3] },
    ])
    const verified = await verifyRows(log)
    expect(verified.entries.map((entry) => entry.nullified)).toEqual([
      false,
      false,
      true,
      true,
      false,
    ])
  })
})

describe('R5 clock', () => {
  const forkAfter = (hours: number) =>
    buildLog([recovery, server], server, [
      { by: server, hours: 1 },
      { by: server, hours: 50 },
      { by: recovery, after: 0, hours: 1 + hours, nullifies: [1, 2] },
    ])

  test('a fork exactly 72 hours after the first operation it nullifies is valid', async () => {
    expect(await verdictOn(await forkAfter(72))).toBe('valid')
  })

  test('one a millisecond later is refused, whatever the age of the head', async () => {
    expect(await verdictOn(await forkAfter(72 + 1 / 3_600_000))).toBe('entry 3 breaks R5')
  })

  test.each([
    { what: 'an update', hours: 1 },
    { what: 'an earlier update', hours: 0.5 },
  ])('$what at or before the time of the entry before it is refused', async ({ hours }) => {
    const log = await buildLog([server], server, [
      { by: server, hours: 1 },
      { by: server, hours },
    ])
    expect(await verdictOn(log)).toBe('entry 2 breaks R5')
  })

  test('a fork not later than the newest operation is refused', async () => {
    const log = await buildLog([recovery, server], server, [
      { by: server, hours: 1 },
      { by: recovery, after: 0, hours: 1, nullifies: [1] },
    ])
    expect(await verdictOn(log)).toBe('entry 2 breaks R5')
  })

  test.each(['2026-01-01T00:00:00Z', '2026-02-30T00:00:00.000Z', 'today', 1767225600000, null])(
    'the time %j is not one that a directory lists',
    async (createdAt) => {
      const [row] = await buildLog([server], server)
      expect(await verdictOn([{ ...row, createdAt }])).toBe('entry 0 breaks ENTRY')
    },
  )
})

describe('R6 effect', () => {
  test('a listed flag that differs from the recomputed one is refused, either way', async () => {
    const log = await buildLog([recovery, server], server, [
      { by: server, hours: 1 },
      { by: recovery, after: 0, hours: 2, nullifies: [1] },
    ])
    expect(await verdictOn(log.with(1, { ...log[1]!, nullified: false }))).toBe('entry 1 breaks R6')
    expect(await verdictOn(log.with(2, { ...log[2]!, nullified: true }))).toBe('entry 2 breaks R6')
    expect(await verdictOn(log.with(0, { ...log[0]!, nullified: true }))).toBe('entry 0 breaks R6')
  })

  test('a tombstone is nullified like any other operation', async () => {
    const log = await buildLog([recovery, server], server, [
      { by: server, hours: 1, tombstone: true },
      { by: recovery, after: 0, hours: 2, nullifies: [1] },
    ])
    await expect(verifyRows(log)).resolves.toMatchObject({ tombstoned: false })
  })

  test('an operation left out of the log is noticed', async () => {
    const log = await buildLog([server], server, [
      { by: server, hours: 1 },
      { by: server, hours: 2 },
    ])
    expect(await verdictOn([log[0], log[2]])).toBe('entry 1 breaks R2')
  })
})

describe('R7 no reuse', () => {
  test('after a fork from an operation only a still stronger key forks from it again', async () => {
    const top = await keyNamed('top')
    const keys = [top, recovery, server]
    const once = await buildLog(keys, server, [
      { by: server, hours: 1 },
      { by: recovery, after: 0, hours: 2, nullifies: [1] },
    ])
    const step = { after: 0, hours: 3, nullifies: [2] }
    const again = await extendLog(once, [{ by: top, ...step }])
    await expect(verifyRows(again)).resolves.toMatchObject({ head: { cid: again[3]!.cid } })
    expect(await verdictOn(await extendLog(once, [{ by: recovery, ...step }]))).toBe(
      'entry 3 breaks R7',
    )
    expect(await verdictOn(await extendLog(once, [{ by: server, ...step }]))).toBe(
      'entry 3 breaks R7',
    )
  })
})

describe('R8 tombstone', () => {
  test('the log of a tombstoned identity has no data', async () => {
    const log = await buildLog([server], server, [{ by: server, hours: 1, tombstone: true }])
    await expect(verifyRows(log)).resolves.toMatchObject({ tombstoned: true, data: null })
  })

  test('nothing extends a tombstone, whoever signs', async () => {
    const log = await buildLog([recovery, server], server, [
      { by: server, hours: 1, tombstone: true },
      { by: recovery, hours: 2 },
    ])
    expect(await verdictOn(log)).toBe('entry 2 breaks R8')
  })

  test('a tombstone may itself be a fork and nullify later operations', async () => {
    const log = await buildLog([recovery, server], server, [
      { by: server, hours: 1 },
      { by: recovery, after: 0, hours: 2, tombstone: true, nullifies: [1] },
    ])
    await expect(verifyRows(log)).resolves.toMatchObject({ tombstoned: true })
  })
})

describe('the cases that the design executed, with keys [recovery, server]', () => {
  test('a server key with a stale prev is refused', async () => {
    const log = await buildLog([recovery, server], server, [
      { by: server, hours: 1 },
      { by: server, after: 0, hours: 2, nullifies: [1] },
    ])
    expect(await verdictOn(log)).toBe('entry 2 breaks R4')
  })

  test.each([
    { hours: 71, verdict: 'valid' },
    { hours: 73, verdict: 'entry 2 breaks R5' },
  ])(
    'undoing an operation that dropped the recovery key at $hours h: $verdict',
    async ({ hours, verdict }) => {
      const log = await buildLog([recovery, server], server, [
        { by: server, hours: 1, rotationKeys: [server] },
        { by: recovery, after: 0, hours: 1 + hours, nullifies: [1] },
      ])
      expect(await verdictOn(log)).toBe(verdict)
    },
  )

  test('an update that is already in the log is refused', async () => {
    const log = await buildLog([recovery, server], server, [{ by: server, hours: 1 }])
    expect(await verdictOn([...log, rowOf(log[0]!.did, log[1]!.operation, 2)])).toBe(
      'entry 2 breaks R4',
    )
  })
})
