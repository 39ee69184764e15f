import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { expect, it } from 'vitest'
import type { Context } from '../src/context.ts'
import { startJobs } from '../src/jobs.ts'

const nothing = { looked: 0, confirmed: 0, lost: 0, unread: 0 }

const follow = async () => ({ operations: 0, own: 0, foreign: [], nullified: [] })

/** A log to which nothing is ever appended. */
const auditLog = {
  look: async () => {},
  sequence: async () => 0,
  expectLooks: () => {},
  resign: async () => {},
} as unknown as Context['auditLog']

const notifications = { deliver: async () => ({ told: 0, failed: 0 }), close: () => {} }

function logTo(lines: Record<string, unknown>[]) {
  return pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) })
}

const witnesses = {
  look: async () => {},
  isCosigned: async () => false,
  newest: async () => null,
  warning: () => null,
}
const sweep = async () => ({ expired: 0, counted: 0 })

it('submissions are looked for as soon as the service starts, and a run under way is awaited', async () => {
  let runs = 0
  const lines: Record<string, unknown>[] = []
  const reconcile = async () => {
    await sleep(20)
    runs += 1
    return { ...nothing, looked: 1, confirmed: 1 }
  }
  const jobs = startJobs(
    { reconcile, auditLog, follow, notifications, sweep, witnesses },
    logTo(lines),
  )
  await jobs.stop()
  expect(runs).toBe(1)
  expect(lines).toMatchObject([{ job: 'reconcile', looked: 1, confirmed: 1 }])
})

it('a run that fails is logged and ends nothing', async () => {
  const lines: Record<string, unknown>[] = []
  const reconcile = async () => await Promise.reject(new Error('the database is away'))
  const jobs = startJobs(
    { reconcile, auditLog, follow, notifications, sweep, witnesses },
    logTo(lines),
  )
  await sleep(10)
  await jobs.stop()
  expect(lines).toMatchObject([{ msg: 'a job failed' }])
})

it('a run that found nothing to do says nothing', async () => {
  const lines: Record<string, unknown>[] = []
  await startJobs(
    { reconcile: async () => nothing, auditLog, follow, notifications, sweep, witnesses },
    logTo(lines),
  ).stop()
  expect(lines).toEqual([])
})

it('what time has ended is swept first, and told', async () => {
  const lines: Record<string, unknown>[] = []
  const swept = { expired: 2, counted: 1 }
  await startJobs(
    {
      reconcile: async () => nothing,
      auditLog,
      follow,
      notifications,
      sweep: async () => swept,
      witnesses,
    },
    logTo(lines),
  ).stop()
  expect(lines).toMatchObject([{ job: 'sweep', ...swept }])
})
