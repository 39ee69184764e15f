import { describe, expect, test } from 'vitest'
import {
  DEFAULT_PER_SECOND,
  DIRECTORY_PER_SECOND,
  backoffMs,
  createPace,
} from '../../src/campaign/pace.ts'
import { createFakeClock } from '../support/fake-clock.ts'

test('the default leaves room below what plc.directory allows', () => {
  expect(DEFAULT_PER_SECOND).toBeLessThan(DIRECTORY_PER_SECOND)
})

test('turns are spaced by the rate, whoever takes them', async () => {
  const clock = createFakeClock()
  const pace = createPace(2, clock)
  const taken: number[] = []
  const worker = async () => {
    for (let turns = 0; turns < 5; turns += 1) {
      await pace.turn()
      taken.push(clock.now())
    }
  }
  await Promise.all([worker(), worker(), worker()])

  expect(taken).toEqual(Array.from({ length: 15 }, (_, index) => index * 500))
})

test('time that was not used is not saved up: no burst follows a pause', async () => {
  const clock = createFakeClock()
  const pace = createPace(1, clock)
  await pace.turn()
  await clock.sleep(60_000)
  await pace.turn()
  const before = clock.now()
  await pace.turn()

  expect(clock.now() - before).toBe(1_000)
})

describe('"too many"', () => {
  test('holds everybody for as long as the directory asks', async () => {
    const clock = createFakeClock()
    const pace = createPace(100, clock)
    await pace.turn()
    pace.tooMany(30_000)
    await Promise.all([pace.turn(), pace.turn()])

    expect(clock.now()).toBeGreaterThanOrEqual(30_000)
  })

  test('is never obeyed for more than five minutes', async () => {
    const clock = createFakeClock()
    const pace = createPace(100, clock)
    pace.tooMany(86_400_000)
    await pace.turn()

    expect(clock.now()).toBeLessThanOrEqual(300_000)
  })

  test('again and again waits longer each time, until an answer comes', async () => {
    const clock = createFakeClock()
    const pace = createPace(100, clock)
    const waits: number[] = []
    for (let times = 0; times < 5; times += 1) {
      const before = clock.now()
      pace.tooMany(null)
      await pace.turn()
      waits.push(clock.now() - before)
    }
    expect([...waits].sort((a, b) => a - b)).toEqual(waits)
    expect(waits.at(-1)).toBeGreaterThan(10_000)

    pace.answered()
    const before = clock.now()
    pace.tooMany(null)
    await pace.turn()
    expect(clock.now() - before).toBeLessThan(2_000)
  })

  test('that comes while others wait holds them too', async () => {
    const clock = createFakeClock()
    const pace = createPace(1, clock)
    await pace.turn()
    const waiting = pace.turn()
    pace.tooMany(10_000)
    await waiting

    expect(clock.now()).toBeGreaterThanOrEqual(10_000)
  })
})

test('a backoff is never in step with another, and never above a minute and a quarter', () => {
  const waits = Array.from({ length: 100 }, () => backoffMs(2))
  expect(new Set(waits).size).toBeGreaterThan(50)
  expect(Math.min(...waits)).toBeGreaterThanOrEqual(3_000)
  expect(Math.max(...waits)).toBeLessThanOrEqual(5_000)
  expect(backoffMs(1_000)).toBeLessThanOrEqual(75_000)
})
