import { describe, expect, test } from 'vitest'
import { readEvidence } from '../../src/campaign/evidence.ts'
import { createPace } from '../../src/campaign/pace.ts'
import { DirectoryError } from '../../src/directory/directory.ts'
import type { DirectoryErrorCode, PlcDirectory } from '../../src/directory/directory.ts'
import { buildLog, keyNamed, verify } from '../plc/build-log.ts'
import { createFakeClock } from '../support/fake-clock.ts'

const key = await keyNamed('evidence')
const rows = await buildLog([key], key, [{ by: key, hours: 1 }])
const did = rows[0]?.did ?? ''

/** Fails as told, call by call, and then gives the log. */
function failing(failures: readonly DirectoryError[]) {
  const clock = createFakeClock()
  const calls: number[] = []
  const directory: PlcDirectory = {
    getLog: async () => {
      calls.push(clock.now())
      const failure = failures[calls.length - 1]
      if (failure !== undefined) throw failure
      return structuredClone(rows)
    },
    ping: async () => {},
  }
  const read = async () =>
    await readEvidence(did, { directory, verify, pace: createPace(1.5, clock), clock })
  return { read, calls, clock }
}

const failure = (code: DirectoryErrorCode, retryAfterMs: number | null = null) =>
  new DirectoryError(code, `it is ${code}`, { retryAfterMs })
const times = (count: number, error: DirectoryError) => Array.from({ length: count }, () => error)

test('a log that is there is verified', async () => {
  const { read, calls } = failing([])
  expect(await read()).toMatchObject({ kind: 'log', log: { did, head: { cid: rows[1]?.cid } } })
  expect(calls).toHaveLength(1)
})

describe('tried again', () => {
  test('what may pass: no answer, three times, each after a longer pause', async () => {
    const { read, calls, clock } = failing(times(3, failure('unknown')))
    expect(await read()).toMatchObject({ kind: 'log' })
    const pauses = calls.slice(1).map((at, index) => at - (calls[index] ?? 0))
    expect([...pauses].sort((a, b) => a - b)).toEqual(pauses)
    expect(clock.now()).toBeGreaterThan(3_500)
  })

  test('and given up when it does not pass, as unread', async () => {
    const { read, calls } = failing(times(100, failure('unknown')))
    expect(await read()).toEqual({ kind: 'unread', reason: 'it is unknown' })
    expect(calls).toHaveLength(4)
  })

  test('too many requests, after the time that the directory asks for', async () => {
    const { read, calls } = failing(times(2, failure('rate-limited', 20_000)))
    expect(await read()).toMatchObject({ kind: 'log' })
    for (const [index, at] of calls.slice(1).entries()) {
      expect(at - (calls[index] ?? 0)).toBeGreaterThanOrEqual(20_000)
    }
  })

  test('and given up when that never ends', async () => {
    const { read, calls } = failing(times(100, failure('rate-limited')))
    expect(await read()).toMatchObject({ kind: 'unread' })
    expect(calls).toHaveLength(8)
  })
})

test.each([
  ['not-registered', 'refused'],
  ['malformed', 'invalid'],
] as const)('%s is final: %s, and not asked again', async (code, kind) => {
  const { read, calls } = failing(times(100, failure(code)))
  expect(await read()).toMatchObject({ kind })
  expect(calls).toHaveLength(1)
})

test('a log that does not verify is invalid, and not asked for again', async () => {
  const directory: PlcDirectory = {
    getLog: async () => rows.map((row) => ({ ...row, nullified: true })),
    ping: async () => {},
  }
  const pace = createPace(1, createFakeClock())
  expect(await readEvidence(did, { directory, verify, pace })).toMatchObject({
    kind: 'invalid',
    reason: expect.stringContaining('R6'),
  })
})

test('our own failure is nobody’s outcome', async () => {
  const directory: PlcDirectory = {
    getLog: async () => {
      throw new TypeError('a bug')
    },
    ping: async () => {},
  }
  const pace = createPace(1, createFakeClock())
  await expect(readEvidence(did, { directory, verify, pace })).rejects.toThrow('a bug')
})
