import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { enrolDids } from '../../src/campaign/enrol-dids.ts'
import { createTally, exitCodeOf, outcomeKinds } from '../../src/campaign/outcome.ts'
import type { Outcome } from '../../src/campaign/outcome.ts'
import { createPace } from '../../src/campaign/pace.ts'
import type { PlcDirectory } from '../../src/directory/directory.ts'
import { buildLog, extendLog, keyNamed } from '../plc/build-log.ts'
import type { Row } from '../plc/build-log.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { createFakeDirectory, directoryThat } from '../support/fake-directory.ts'
import { online, openEnrolment } from './enrolment.ts'

let enrolment: Awaited<ReturnType<typeof openEnrolment>>
const directory = createFakeDirectory()
let serial = 0

beforeAll(async () => {
  enrolment = await openEnrolment()
})
afterAll(async () => await enrolment.close())

async function account(): Promise<Row[]> {
  const own = await keyNamed(`enrol-dids ${(serial += 1)}`)
  const log = await buildLog([own, online], own)
  for (const row of log) directory.submit(row)
  return log
}

async function enrol(
  dids: readonly string[],
  options: { refresh?: boolean; directory?: PlcDirectory } = {},
): Promise<Outcome[]> {
  const clock = createFakeClock()
  const outcomes: Outcome[] = []
  directory.reads.length = 0
  await enrolDids(
    dids,
    {
      ...enrolment.deps,
      clock,
      pace: createPace(100, clock),
      directory: options.directory ?? directory,
    },
    {
      caller: 'pds',
      refresh: options.refresh ?? false,
      report: (outcome) => void outcomes.push(outcome),
    },
  )
  return outcomes
}

const didOf = (log: readonly Row[]) => log[0]?.did ?? ''
const unknownDid = (index: number) =>
  `did:plc:${String(index)
    .padStart(24, 'a')
    .replaceAll(/[0-9]/g, (digit) => 'klmnopqrst'[Number(digit)] ?? '')}`

describe('identities from the directory', () => {
  test('are read, verified and kept', async () => {
    const logs = await Promise.all(Array.from({ length: 20 }, account))
    const outcomes = await enrol(logs.map(didOf))
    expect(outcomes.map(({ kind }) => kind)).toEqual(logs.map(() => 'enrolled'))
    for (const log of logs) expect(await enrolment.inCare(didOf(log))).toMatchObject({ entries: 1 })
  })

  test('that are in care are passed over without a read; with refresh they are read', async () => {
    const [old, fresh] = [await account(), await account()]
    await enrol([didOf(old)])
    const [grown] = (await extendLog(old, [{ by: online, hours: 1 }])).slice(1)
    if (grown !== undefined) directory.submit(grown)

    const outcomes = await enrol([didOf(old), didOf(fresh)])
    expect(outcomes.map(({ kind }) => kind)).toEqual(['already', 'enrolled'])
    expect(directory.reads).toEqual([didOf(fresh)])

    expect(await enrol([didOf(old)], { refresh: true })).toMatchObject([
      { kind: 'refreshed', head: grown?.cid },
    ])
  })

  test('that are listed by a PDS are no candidates any more', async () => {
    const log = await account()
    await enrolment.pool.query(
      'insert into listed_accounts (caller, did) values ($1, $2), ($1, $3)',
      ['pds', didOf(log), unknownDid(1)],
    )
    await enrol([didOf(log)])
    const { rows } = await enrolment.pool.query('select did from listed_accounts')
    expect(rows).toEqual([{ did: unknownDid(1) }])
  })
})

test('refused, not valid and not read are kept apart, and the counts add up', async () => {
  const good = await account()
  const foreign = await account()
  await enrolment.logs([foreign], { caller: 'other' })
  const tampered = await account()
  Object.assign(directory.rowsOf(didOf(tampered))[0] ?? {}, { nullified: true })
  const dids = [good, foreign, tampered].map(didOf).concat(unknownDid(7))
  const outcomes = await enrol(dids)
  const kinds = new Map(outcomes.map(({ did, kind }) => [did, kind]))
  expect(dids.map((did) => kinds.get(did))).toEqual(['enrolled', 'refused', 'invalid', 'refused'])

  const tally = createTally()
  for (const outcome of outcomes) tally.add(outcome)
  const sum = outcomeKinds.reduce((count, kind) => count + tally.counts[kind], 0)
  expect(sum).toBe(dids.length)
  expect(tally.notDone).toHaveLength(3)
  expect(exitCodeOf(tally.counts)).toBe(1)
})

test('a directory that does not answer is left alone after a while, and the rest is accounted for', async () => {
  let asked = 0
  const down: PlcDirectory = {
    ...directoryThat('is down'),
    getLog: async (did, signal) => {
      asked += 1
      return await directoryThat('is down').getLog(did, signal)
    },
  }
  const dids = Array.from({ length: 300 }, (_, index) => unknownDid(index))
  const outcomes = await enrol(dids, { directory: down })

  expect(outcomes.map(({ kind }) => kind)).toEqual(dids.map(() => 'unread'))
  expect(new Set(outcomes.map(({ did }) => did)).size).toBe(300)
  expect(asked).toBeLessThan(120)
})

test('one answer in between, and it goes on', async () => {
  const logs = await Promise.all(Array.from({ length: 60 }, account))
  let asked = 0
  const shaky: PlcDirectory = {
    ...directory,
    getLog: async (did, signal) => {
      asked += 1
      const answering = asked % 3 === 0 ? directory : directoryThat('is down')
      return await answering.getLog(did, signal)
    },
  }
  const outcomes = await enrol(logs.map(didOf), { directory: shaky })
  expect(outcomes.filter(({ kind }) => kind === 'enrolled').length).toBeGreaterThan(50)
  expect(outcomes).toHaveLength(60)
})

test('our own failure ends the run, and nothing new is begun after it', async () => {
  const logs = await Promise.all(Array.from({ length: 40 }, account))
  let asked = 0
  const broken: PlcDirectory = {
    ...directory,
    getLog: async (did, signal) => {
      asked += 1
      if (asked === 10) throw new TypeError('a bug')
      return await directory.getLog(did, signal)
    },
  }
  await expect(enrol(logs.map(didOf), { directory: broken })).rejects.toThrow('a bug')
  expect(asked).toBeLessThan(20)
})

test('not read comes before refused in the exit code, and all done is 0', () => {
  const none = { enrolled: 1, refreshed: 1, already: 1, refused: 0, invalid: 0, unread: 0 }
  expect(exitCodeOf(none)).toBe(0)
  expect(exitCodeOf({ ...none, refused: 1 })).toBe(1)
  expect(exitCodeOf({ ...none, invalid: 1 })).toBe(1)
  expect(exitCodeOf({ ...none, refused: 1, unread: 1 })).toBe(3)
})
