import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Client } from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { UsageError } from '../../scripts/online/command.ts'
import { enrollCommand } from '../../scripts/online/enroll.ts'
import { migrate } from '../../src/store/migrate.ts'
import { openPrivateServer } from '../../src/store/private-server.ts'
import type { PrivateServer } from '../../src/store/private-server.ts'
import { silentLog } from '../support/data-dir.ts'
import { jsonLines, makeEnrolmentHome } from '../support/enrolment-home.ts'
import type { EnrolmentHome } from '../support/enrolment-home.ts'
import { createLogMaker } from '../support/generate-logs.ts'
import type { AuditRow } from '../support/generate-logs.ts'
import { answerJson } from '../support/http-server.ts'
import { startHttpDirectory } from '../support/http-directory.ts'
import type { HttpDirectory } from '../support/http-directory.ts'

// The command as operators run it, on a private Postgres, against a directory and a PDS over HTTP.

let maker: Awaited<ReturnType<typeof createLogMaker>>
let directory: HttpDirectory
let home: EnrolmentHome
/** Held open, so that each command does not start one of its own. */
let server: PrivateServer
let serial = 0

beforeAll(async () => {
  directory = await startHttpDirectory()
  const pds = directory.url
  maker = await createLogMaker('enroll command', pds)
  home = await makeEnrolmentHome({ keyDid: maker.did, plcUrl: directory.url, pds })
  await mkdir(home.dataDir, { mode: 0o711 })
  server = await openPrivateServer({ dataDir: home.dataDir, log: silentLog })
  await migrate(server.owner, server.connection.user)
})
beforeEach(() => {
  directory.reads.length = 0
  directory.listed = []
})
afterEach(() => {
  directory.fault = () => false
})
afterAll(async () => {
  await server.release()
  await home.remove()
  await directory.stop()
})

/** An account that the directory knows. */
async function account(): Promise<{ did: string; log: AuditRow[] }> {
  const log = await maker.make((serial += 1))
  const did = log[0]?.did ?? ''
  directory.logs.set(did, log)
  return { did, log }
}

const accounts = async (count: number) => await Promise.all(Array.from({ length: count }, account))

async function file(name: string, lines: readonly string[]): Promise<string> {
  const path = join(home.dir, name)
  await writeFile(path, lines.map((line) => `${line}\n`).join(''))
  return path
}

async function enroll(args: readonly string[], input?: string) {
  const { code, stdout, stderr } = await home.run(['enroll', ...args, '--json'], input)
  const lines = jsonLines(stdout)
  const outcomes = lines.filter((line) => 'kind' in line)
  const summary = (lines.at(-1)?.['summary'] ?? {}) as Record<string, number>
  return { code, stderr, outcomes, summary, progress: lines.filter((line) => 'progress' in line) }
}

describe('identities that are named', () => {
  test('are read from the directory each time, and said with their head', async () => {
    const { did, log } = await account()
    const first = await home.run(['enroll', did])
    expect(first).toMatchObject({ code: 0, stdout: `${did}: enrolled at ${log[1]?.cid}\n` })
    const again = await home.run(['enroll', did])
    expect(again).toMatchObject({ code: 0, stdout: `${did}: refreshed at ${log[1]?.cid}\n` })
    expect(directory.reads).toHaveLength(2)
  })

  test('and unknown to the directory are refused: exit 1', async () => {
    const did = 'did:plc:aaaaaaaaaaaaaaaaaaaaaaaa'
    const { code, stdout } = await home.run(['enroll', did])
    expect(code).toBe(1)
    expect(stdout).toContain(`${did}: refused`)
  })
})

describe('identities of a list', () => {
  test('on standard input are enrolled, those in care without a read', async () => {
    const [known, ...others] = await accounts(5)
    await enroll([known?.did ?? '', '--rate', '100'])
    directory.reads.length = 0
    const lines = ['# our accounts', known?.did, '', ...others.map(({ did }) => did), known?.did]
    const { code, summary } = await enroll(['--from', '-', '--rate', '100'], lines.join('\n'))

    expect(code).toBe(0)
    expect(summary).toMatchObject({ all: 5, enrolled: 4, already: 1 })
    expect(directory.reads).toHaveLength(4)
  })

  test('that are no identities are told with their line: exit 1', async () => {
    const [good] = await accounts(1)
    const path = await file('dids', ['did:web:example.com', good?.did ?? '', 'x'.repeat(5_000)])
    const { code, outcomes, summary } = await enroll(['--from', path, '--rate', '100'])

    expect(code).toBe(1)
    expect(summary).toMatchObject({ all: 3, enrolled: 1, invalid: 2 })
    const invalid = outcomes.filter(({ kind }) => kind === 'invalid')
    expect(invalid.map(({ line }) => line)).toEqual([1, 3])
  })

  test('with --refresh are read again', async () => {
    const [one] = await accounts(1)
    const path = await file('again', [one?.did ?? ''])
    await enroll(['--from', path])
    const { summary } = await enroll(['--from', path, '--refresh'])
    expect(summary).toMatchObject({ refreshed: 1 })
  })
})

describe('identities of a PDS', () => {
  test('are listed page by page and enrolled; logs from a file spare their reads', async () => {
    const all = await accounts(150)
    directory.listed = all.map(({ did }) => did)
    const path = await file(
      'most.jsonl',
      all.slice(0, 140).map(({ log }) => JSON.stringify(log)),
    )
    const sources = ['--logs', path, '--pds', directory.url]
    const { code, summary, stderr } = await enroll([...sources, '--rate', '100'])

    expect(stderr).not.toContain('could not')
    expect(code).toBe(0)
    expect(summary).toMatchObject({ all: 290, enrolled: 150, already: 140 })
    expect(directory.reads).toHaveLength(10)
  })

  test('that do not list our key are refused, and kept for the door to look at again', async () => {
    const stranger = await createLogMaker('of somebody else')
    const log = await stranger.make(1)
    const did = log[0]?.did ?? ''
    directory.logs.set(did, log)
    directory.listed = [did]
    const { code, summary } = await enroll(['--pds', directory.url, '--rate', '100'])

    expect(code).toBe(1)
    expect(summary).toMatchObject({ all: 1, refused: 1 })
    const rows = await query('select did, caller from listed_accounts')
    expect(rows).toEqual([{ did, caller: 'pds' }])
  })

  test('that does not answer: nothing is half-listed, exit 3', async () => {
    directory.listed = null
    const { code, stderr } = await home.run(['enroll', '--pds', 'http://127.0.0.1:1'])
    expect(code).toBe(3)
    expect(stderr).toContain('no answer from http://127.0.0.1:1')
  }, 60_000)
})

describe('the directory', () => {
  test('is asked at the rate that is set', async () => {
    const all = await accounts(21)
    const { summary } = await enroll(['--rate', '10', ...all.map(({ did }) => did)])
    expect(summary).toMatchObject({ enrolled: 21 })
    const times = directory.reads.map(({ at }) => at)
    expect((times.at(-1) ?? 0) - (times[0] ?? 0)).toBeGreaterThan(1_800)
  })

  test('that says "too many" is obeyed, by all reads together', async () => {
    const all = await accounts(10)
    let refused = 0
    directory.fault = (_did, response) => {
      if (directory.reads.length <= 2 || refused > 0) return false
      refused = performance.now()
      response.setHeader('retry-after', '2')
      answerJson(response, { message: 'slow down' }, 429)
      return true
    }
    const { code, summary } = await enroll(['--rate', '20', ...all.map(({ did }) => did)])

    expect(code).toBe(0)
    expect(summary).toMatchObject({ enrolled: 10 })
    const late = directory.reads.filter(({ at }) => at > refused + 200)
    expect(Math.min(...late.map(({ at }) => at)) - refused).toBeGreaterThan(1_900)
  })

  test('that fails for one identity only: that one is not read, exit 3', async () => {
    const [sick, ...others] = await accounts(6)
    directory.fault = (did, response) => {
      if (did !== sick?.did) return false
      answerJson(response, {}, 500)
      return true
    }
    const dids = [sick, ...others].map((one) => one?.did ?? '')
    const { code, summary, outcomes } = await enroll(['--rate', '100', ...dids])

    expect(code).toBe(3)
    expect(summary).toMatchObject({ all: 6, enrolled: 5, unread: 1 })
    expect(outcomes.find(({ kind }) => kind === 'unread')).toMatchObject({ did: sick?.did })
    expect(directory.reads.filter(({ did }) => did === sick?.did)).toHaveLength(4)
  }, 60_000)
})

test('progress and the remaining time are on standard error, and as JSON lines', async () => {
  const all = await accounts(16)
  const path = await file(
    'slow',
    all.map(({ did }) => did),
  )
  const { stderr, progress, summary } = await enroll(['--from', path, '--rate', '2'])

  expect(summary).toMatchObject({ enrolled: 16, directory_pace_per_s: 1.67 })
  expect(stderr).toMatch(/directory: \d+ of 16 identities, [\d.]+ a second, [\d.]+ s left/)
  expect(progress.at(0)).toMatchObject({ progress: { name: 'directory', total: 16 } })
}, 60_000)

test('the sum is for people too, those not done first', async () => {
  const [one] = await accounts(1)
  const path = await file('sum.jsonl', [JSON.stringify(one?.log), '{}', 'nonsense'])
  const { code, stdout } = await home.run(['enroll', '--logs', path])

  expect(code).toBe(1)
  expect(stdout.split('\n')).toEqual([
    'line 2: not valid (not an audit log: that is a list of entries)',
    'line 3: not valid (not JSON; write one whole log on each line (jq -c))',
    '1 enrolled, 0 refreshed, 0 in care already, 0 refused, 2 not valid, 0 not read: 3 in all',
    expect.stringMatching(
      /^[\d.]+ s, [\d.]+ a second; the directory's own pace is 1\.67 a second, /,
    ),
    '',
  ])
})

describe('wrong usage, and nothing is asked:', () => {
  const wrong: Record<string, string[]> = {
    'no source': [],
    'no did:plc': ['did:web:example.com'],
    'a file that is not there': ['--from', '/no/such/file'],
    'a folder': ['--logs', '/'],
    'standard input twice': ['--from', '-', '--logs', '-'],
    'a rate of nothing': ['--rate', '0', 'did:plc:aaaaaaaaaaaaaaaaaaaaaaaa'],
    'a rate that is no number': ['--rate', '1e9', 'did:plc:aaaaaaaaaaaaaaaaaaaaaaaa'],
    'a PDS over plain http': ['--pds', 'http://pds.example.com'],
  }

  test.each(Object.entries(wrong))('%s', async (_name, args) => {
    await expect(enrollCommand(args)).rejects.toBeInstanceOf(UsageError)
  })

  test('a caller who is not there', async () => {
    const did = 'did:plc:aaaaaaaaaaaaaaaaaaaaaaaa'
    const { code, stderr } = await home.run(['enroll', '--caller', 'nobody', did])
    expect(code).toBe(2)
    expect(stderr).toContain('Usage: scripts/holdfast enroll')
    expect(directory.reads).toEqual([])
  })
})

describe('kill -9', () => {
  const COUNT = 2_000
  const ROUNDS = 4

  test(`at ${ROUNDS} random points of ${COUNT} identities: nothing is torn, and the same command finishes`, async () => {
    const logs = await Promise.all(
      Array.from({ length: COUNT }, async () => await maker.make((serial += 1))),
    )
    const dids = logs.map((log) => log[0]?.did ?? '')
    const path = await file(
      'many.jsonl',
      logs.map((log) => JSON.stringify(log)),
    )
    const before = await inCare(dids)
    expect(before).toBe(0)
    const points: number[] = []
    for (let round = 0; round < ROUNDS; round += 1) {
      await killedAfterSome(path)
      points.push(await inCare(dids))
    }
    console.info(`killed with ${points.join(', ')} of ${COUNT} in care`)
    const { code, summary } = await enroll(['--logs', path])

    expect(code).toBe(0)
    expect(summary).toMatchObject({ all: COUNT, already: points.at(-1) })
    expect(await inCare(dids)).toBe(COUNT)
    expect(new Set(points).size).toBeGreaterThan(1)
  }, 120_000)
})

/** Lets it take some into care, and then a random moment more. */
async function killedAfterSome(path: string): Promise<void> {
  const child = home.spawn(['enroll', '--logs', path, '--json'])
  const exited = new Promise((resolve) => child.once('close', resolve))
  let armed = false
  child.stdout?.on('data', (chunk: Buffer) => {
    if (armed || !chunk.includes('"enrolled"')) return
    armed = true
    setTimeout(() => child.kill('SIGKILL'), Math.random() * 400)
  })
  child.stdout?.once('close', () => child.kill('SIGKILL'))
  await exited
}

/** How many are in care; each must be whole: two operations and one audit entry, or nothing. */
async function inCare(dids: readonly string[]): Promise<number> {
  const rows = await query(
    `select did,
       (select count(*)::int from identities where identities.did = input.did) identities,
       (select count(*)::int from operations where operations.did = input.did) operations,
       (select count(*)::int from audit_outbox where subject = input.did and kind = 'did.enrolled') entries
     from unnest($1::text[]) input (did)`,
    [dids],
  )
  const shapes = rows.map(({ did: _did, ...counts }) => Object.values(counts).join())
  expect(shapes.filter((shape) => shape !== '0,0,0' && shape !== '1,2,1')).toEqual([])
  return shapes.filter((shape) => shape === '1,2,1').length
}

async function query(text: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
  const client = new Client(server.connection)
  await client.connect()
  try {
    return (await client.query(text, values)).rows
  } finally {
    await client.end()
  }
}
