import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { MAX_READS } from '../../src/custody/find-identity.ts'
import { READ_BURST } from '../../src/store/enrolment-search.ts'
import { openCustody } from '../support/custody.ts'
import type { Custody } from '../support/custody.ts'
import { renamed } from '../support/operations.ts'
import { PDS, changedByUser, fresh, genesisFor, movedIn } from './found-accounts.ts'
import type { MovedIn } from './found-accounts.ts'

// An unknown prev costs reads, and whoever has a caller's credential can ask with as many as he likes.

const denied = { kind: 'denied', rule: 'PREV-KNOWN' }

let custody: Custody

beforeAll(async () => {
  custody = await openCustody({ pds: PDS })
})
beforeEach(async () => {
  custody.directory.reads.length = 0
  custody.directory.onRead = () => {}
  custody.pds.dids.length = 0
  custody.pds.calls.length = 0
  custody.pds.pageSize = 1_000
  custody.pds.onList = () => {}
  custody.events.length = 0
  await custody.outside.query('truncate account_searches, listed_accounts')
})
afterEach(async () => await custody.check())
afterAll(async () => await custody.close())

const kinds = () => custody.events.map(({ kind }) => kind)

async function elevenSecondsLater(): Promise<void> {
  await custody.pool.query(
    `update account_searches set asked_at = asked_at - interval '11 seconds'`,
  )
}

async function budgetEarnedBack(): Promise<void> {
  await custody.pool.query('update account_searches set reads_until = null')
}

test('one call reads a few logs at most, the next ones read the others', async () => {
  const movers: MovedIn[] = []
  for (let count = 0; count < 2 * MAX_READS; count += 1) movers.push(await movedIn(custody))
  const [oldest] = movers as [MovedIn]
  const next = renamed(oldest.moved, `${oldest.name}-next`)

  expect(await custody.sign(next)).toMatchObject(denied)
  expect(custody.directory.reads).toHaveLength(MAX_READS)
  expect((await custody.sign(next)).kind).toBe('signed')
  expect(new Set(custody.directory.reads).size).toBe(2 * MAX_READS)
})

test('the PDS is listed once in ten seconds, by all instances together', async () => {
  const { name, moved } = await movedIn(custody)
  await Promise.all(
    Array.from({ length: 20 }, async (_, index) => {
      await custody.sign({ ...renamed(moved, `${name}-${index}`), prev: unknownCid(index) })
    }),
  )
  expect(custody.pds.calls).toHaveLength(2)

  await elevenSecondsLater()
  await custody.sign({ ...renamed(moved, `${name}-again`), prev: unknownCid(99) })
  expect(custody.pds.calls).toHaveLength(4)
})

test('two calls at once for two accounts that moved in share the listing', async () => {
  const movers = [await movedIn(custody), await movedIn(custody)]
  const results = await Promise.all(
    movers.map(async ({ name, moved }) => await custody.sign(renamed(moved, `${name}-next`))),
  )

  expect(results.map(({ kind }) => kind)).toEqual(['signed', 'signed'])
  expect(custody.pds.calls).toHaveLength(2)
})

test('a caller who asks for unknown prevs without end is told busy, and the directory is left alone', async () => {
  const { name, changed } = await changedByUser(custody)
  for (let index = 0; index < 2 * READ_BURST; index += 1) {
    await custody.sign({ ...renamed(changed, `${name}-${index}`), prev: unknownCid(index) })
  }
  const last = await custody.sign({ ...renamed(changed, name), prev: unknownCid(1_000) })

  expect(last).toMatchObject({ kind: 'busy', requestId: null })
  expect(custody.directory.reads.length).toBeGreaterThanOrEqual(READ_BURST)
  expect(custody.directory.reads.length).toBeLessThan(READ_BURST + 10)
  expect(kinds()).toContain('search-budget-spent')

  await budgetEarnedBack()
  expect((await custody.sign(renamed(changed, `${name}-next`))).kind).toBe('signed')
})

test('a long list is gone through page by page, each run where the last one ended', async () => {
  const mover = await movedIn(custody)
  const strangers = Array.from({ length: 19 }, (_, index) => strangerDid(index))
  custody.pds.dids.unshift(...strangers)
  custody.pds.pageSize = 2
  const next = renamed(mover.moved, `${mover.name}-next`)
  const cursors: (string | null)[][] = []
  for (let run = 0; run < 3; run += 1) {
    custody.pds.calls.length = 0
    await custody.sign(next)
    cursors.push(custody.pds.calls.map(({ cursor }) => cursor))
    await elevenSecondsLater()
    await budgetEarnedBack()
  }

  expect(cursors).toEqual([
    [null, '2', '4', '6', '8'],
    ['8', '10', '12', '14', '16'],
    ['16', '18', '20'],
  ])
  expect((await custody.sign(next)).kind).toBe('signed')
})

test('an account that appears late in a page that was listed already is found', async () => {
  const early = await movedIn(custody)
  await custody.sign(renamed(early.moved, `${early.name}-next`))
  await elevenSecondsLater()
  const late = await movedIn(custody)
  custody.pds.dids.reverse()

  expect((await custody.sign(renamed(late.moved, `${late.name}-next`))).kind).toBe('signed')
})

test('accounts in care at this PDS are not kept as candidates', async () => {
  const own = await custody.signed(await genesisFor(fresh('own'), [custody.key.did]))
  custody.directory.submit(own)
  const mover = await movedIn(custody)
  custody.pds.dids.push(own.did)

  await custody.sign(renamed(mover.moved, `${mover.name}-next`))
  expect(custody.directory.reads).toEqual([mover.moved.did])
  const { rows } = await custody.pool.query('select did from listed_accounts')
  expect(rows).toEqual([])
})

test('identities in care are found by an index', async () => {
  const { name, changed } = await changedByUser(custody)
  const asked: string[] = []
  custody.watch.before = ({ sql }) => void asked.push(sql)
  await custody.sign(renamed(changed, `${name}-next`))
  delete custody.watch.before
  const search = asked.find((sql) => sql.includes('substring('))
  const client = await custody.pool.connect()
  try {
    // A table this small is read whole otherwise.
    await client.query('set enable_seqscan = off')
    const { rows } = await client.query(`explain (generic_plan, format json) ${search}`)
    expect(JSON.stringify(rows)).toContain('operations_atproto')
  } finally {
    client.release(true)
  }
})

/** CIDs of operations that nobody has ever seen. */
function unknownCid(index: number): string {
  const digits = String(index)
    .padStart(4, '0')
    .replaceAll(/[0-9]/g, (digit) => 'abcdefghij'[Number(digit)] ?? '')
  return `bafyreia${'a'.repeat(46)}${digits}a`
}

function strangerDid(index: number): string {
  return `did:plc:${String.fromCodePoint(97 + index).repeat(24)}`
}
