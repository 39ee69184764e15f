import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Outcome } from '../../src/campaign/outcome.ts'
import { StoreBusyError } from '../../src/custody/ports.ts'
import { buildLog, extendLog, keyNamed } from '../plc/build-log.ts'
import type { Row, Step } from '../plc/build-log.ts'
import { online, openEnrolment, recovery } from './enrolment.ts'

let enrolment: Awaited<ReturnType<typeof openEnrolment>>
let serial = 0

beforeAll(async () => {
  enrolment = await openEnrolment()
})
afterAll(async () => await enrolment.close())

/** An account with a genesis of its own, under the recovery key and ours. */
async function account(steps: readonly Step[] = []): Promise<Row[]> {
  const own = await keyNamed(`enrol-logs ${(serial += 1)}`)
  return await buildLog([own, recovery, online], own, steps)
}

const rename = (hours: number): Step => ({ by: online, hours })
const didOf = (log: readonly Row[]) => log[0]?.did ?? ''
const cidsOf = (log: readonly Row[]) => log.map(({ cid }) => cid)
const kindsOf = (outcomes: readonly Outcome[]) => outcomes.map(({ kind }) => kind)

describe('a log that verifies', () => {
  test('is kept whole, with one audit entry, and its head is told', async () => {
    const log = await account([rename(1), rename(2)])
    expect(await enrolment.logs([log])).toEqual([
      { kind: 'enrolled', did: didOf(log), head: log.at(-1)?.cid },
    ])
    expect(await enrolment.inCare(didOf(log))).toEqual({
      caller: 'pds',
      cids: cidsOf(log),
      nullified: [],
      entries: 1,
    })
  })

  test('is passed over the second time, without being verified again', async () => {
    const log = await account([rename(1)])
    await enrolment.logs([log])
    const unverifiable = log.map((row) => ({ ...row, operation: null }))
    expect(await enrolment.logs([unverifiable])).toEqual([{ kind: 'already', did: didOf(log) }])
    expect(await enrolment.inCare(didOf(log))).toMatchObject({ cids: cidsOf(log), entries: 1 })
  })

  test('is refreshed when it has grown, and an older copy of it changes nothing', async () => {
    const log = await account([rename(1)])
    await enrolment.logs([log])
    const longer = await extendLog(log, [rename(2)])
    expect(kindsOf(await enrolment.logs([longer]))).toEqual(['refreshed'])
    expect(kindsOf(await enrolment.logs([log]))).toEqual(['already'])
    expect(await enrolment.inCare(didOf(log))).toMatchObject({ cids: cidsOf(longer), entries: 1 })
  })

  test('with a fork is kept with what it nullifies; an older log makes nothing valid again', async () => {
    const log = await account([rename(1), rename(2)])
    const forked = await extendLog(log, [{ by: recovery, after: 0, hours: 3, nullifies: [1, 2] }])
    await enrolment.logs([log.slice(0, 1)])
    expect(kindsOf(await enrolment.logs([forked]))).toEqual(['refreshed'])
    const [genesis, second, third, fork] = cidsOf(forked)
    const expected = { cids: [genesis, second, third, fork], nullified: [second, third] }
    expect(await enrolment.inCare(didOf(log))).toMatchObject(expected)

    expect(kindsOf(await enrolment.logs([log]))).toEqual(['already'])
    expect(await enrolment.inCare(didOf(log))).toMatchObject(expected)
  })

  test('is in the file twice: kept once, and both are accounted for', async () => {
    const log = await account([rename(1)])
    expect(kindsOf(await enrolment.logs([log, log]))).toEqual(['enrolled', 'already'])
  })

  test('is in the file again with more behind it: both are kept', async () => {
    const log = await account([rename(1)])
    const longer = await extendLog(log, [rename(2)])
    expect(kindsOf(await enrolment.logs([log, longer]))).toEqual(['enrolled', 'refreshed'])
    expect(await enrolment.inCare(didOf(log))).toMatchObject({ cids: cidsOf(longer) })
  })
})

describe('refused, with nothing kept:', () => {
  test('a tombstone', async () => {
    const log = await account([{ by: online, hours: 1, tombstone: true }])
    expect(await enrolment.logs([log])).toMatchObject([
      { kind: 'refused', reason: 'it is a tombstone' },
    ])
    expect(await enrolment.inCare(didOf(log))).toBeNull()
  })

  test('an account on which no key of the caller has a say', async () => {
    const log = await account([{ by: online, hours: 1, rotationKeys: [recovery] }])
    expect(await enrolment.logs([log])).toMatchObject([{ kind: 'refused', did: didOf(log) }])
    expect(await enrolment.inCare(didOf(log))).toBeNull()
  })

  test('an account of another caller, known by its head or not', async () => {
    const log = await account([rename(1)])
    await enrolment.logs([log], { caller: 'other' })
    const longer = await extendLog(log, [rename(2)])
    for (const again of [log, longer]) {
      expect(await enrolment.logs([again])).toMatchObject([
        { kind: 'refused', line: 1, reason: 'it belongs to another caller' },
      ])
    }
    expect(await enrolment.inCare(didOf(log))).toMatchObject({ caller: 'other', cids: cidsOf(log) })
  })
})

describe('not valid, with its line, and the lines after it are read:', () => {
  const broken: Record<string, (log: Row[]) => unknown> = {
    'a changed signature': (log) => {
      const operation = log[1]?.operation
      const sig = log[0]?.operation.sig
      return [log[0], { ...log[1], operation: { ...operation, sig } }]
    },
    'a CID that is not of its operation': (log) => [
      log[0],
      { ...log[1], cid: 'bafyreidef3g2vvlshwzf7vxjyxg3lraahujvhtkpo7y3g4br52ft3lzwem' },
    ],
    'a nullified operation that nothing nullifies': (log) => [
      { ...log[0], nullified: true },
      log[1],
    ],
    'an operation left out': (log) => [log[1]],
    'the log of another DID': (log) =>
      log.map((row) => ({ ...row, did: 'did:plc:aaaaaaaaaaaaaaaaaaaaaaaa' })),
    'text that is no JSON': () => '{"operation"',
    'JSON that is no log': () => ({ did: 'did:plc:aaaaaaaaaaaaaaaaaaaaaaaa' }),
    'an empty log': () => [],
    'a log of logs': (log) => [log],
    'a name with a zero byte': (log) => [{ ...log[0], did: 'did:plc:\u0000' }],
    'a CID with a zero byte': (log) => [{ ...log[0], cid: '\u0000' }],
    'a line that is too long': () => 'x'.repeat(1_000_001),
  }

  test.each(Object.entries(broken))('%s', async (_name, breaks) => {
    const [log, sound] = [await account([rename(1)]), await account()]
    const outcomes = await enrolment.logs(['', breaks(log), sound])
    expect(outcomes).toHaveLength(2)
    expect(outcomes.find(({ kind }) => kind === 'invalid')).toMatchObject({ line: 2 })
    expect(outcomes.find(({ kind }) => kind === 'enrolled')).toMatchObject({ did: didOf(sound) })
    expect(await enrolment.inCare(didOf(log))).toBeNull()
  })
})

describe('a batch', () => {
  test.each([
    'begin',
    'holdfast_enroll_adopt',
    'holdfast_enroll_own',
    'holdfast_enroll_keep',
    'holdfast_enroll_enter',
    'commit',
  ])('is in care whole or not at all when the connection fails at %s', async (statement) => {
    const logs = await Promise.all([account([rename(1)]), account(), account()])
    enrolment.watch.before = ({ name }) => {
      if (name === statement) throw new Error('the network is gone')
    }
    await expect(enrolment.logs(logs)).rejects.toThrow('the network is gone')
    delete enrolment.watch.before
    for (const log of logs) expect(await enrolment.inCare(didOf(log))).toBeNull()

    expect(kindsOf(await enrolment.logs(logs))).toEqual(['enrolled', 'enrolled', 'enrolled'])
  })

  test('that was committed, but told failed, is passed over by the next run', async () => {
    const logs = await Promise.all([account([rename(1)]), account()])
    enrolment.watch.after = ({ name }) => {
      if (name === 'commit') throw new Error('the network is gone')
    }
    await expect(enrolment.logs(logs)).rejects.toThrow('the network is gone')
    delete enrolment.watch.after

    expect(kindsOf(await enrolment.logs(logs))).toEqual(['already', 'already'])
    for (const log of logs) {
      expect(await enrolment.inCare(didOf(log))).toMatchObject({ cids: cidsOf(log), entries: 1 })
    }
  })

  test('waits for a database that is busy', async () => {
    const log = await account()
    let busy = 3
    const store = {
      ...enrolment.store,
      enrollAll: async (...args: Parameters<typeof enrolment.store.enrollAll>) => {
        if (busy > 0) {
          busy -= 1
          throw new StoreBusyError('not now')
        }
        return await enrolment.store.enrollAll(...args)
      },
    }
    expect(kindsOf(await enrolment.logs([log], { store }))).toEqual(['enrolled'])
  })

  test('by two callers at once: each identity goes to one of them, and the other is told', async () => {
    const logs = await Promise.all(Array.from({ length: 30 }, async () => await account()))
    const [pds, other] = await Promise.all([
      enrolment.logs(logs),
      enrolment.logs(logs.toReversed(), { caller: 'other' }),
    ])
    for (const log of logs) {
      const of = (outcomes: Outcome[]) => outcomes.find(({ did }) => did === didOf(log))?.kind
      expect(new Set([of(pds), of(other)])).toEqual(new Set(['enrolled', 'refused']))
      expect(await enrolment.inCare(didOf(log))).toMatchObject({
        caller: of(pds) === 'enrolled' ? 'pds' : 'other',
        entries: 1,
      })
    }
  })
})
