import { expect, it } from 'vitest'
import { runCommand } from '../support/run-command.ts'

// `scripts/holdfast drill` is the test: the key of a stock PDS is destroyed, and with the recovery key on
// a machine without a network its accounts come back. By name with 500: npm run drill -- --accounts 500

type Report = {
  ok: boolean
  accounts: number
  saved: number
  left: number
  byKind: Record<string, number>
  isolated: boolean
  steps: { name: string; ok: boolean; detail: string }[]
}

it('a PDS that has lost its rotation key has all accounts back that can be saved, and goes on', async () => {
  const { code, out } = await runCommand(['drill', '--accounts', '24', '--json'], {
    env: { HOME: process.env['HOME'] ?? '/' },
  })
  const report = JSON.parse(out.trim().split('\n').at(-1) ?? '{}') as Report
  expect(report.steps.filter(({ ok }) => !ok)).toEqual([])
  expect({ code, ok: report.ok }).toEqual({ code: 0, ok: true })
  expect(report.byKind).toMatchObject({
    'without-recovery': 2,
    'user-above': 1,
    legacy: 1,
    tombstoned: 1,
  })
  expect(report.left).toBe(3)
  expect(report.saved).toBe(report.accounts - 3)
  expect(report.steps.map(({ name }) => name)).toContain(
    'the account that went on meanwhile is planned again',
  )
}, 300_000)

it('a drill takes no number that it cannot do', async () => {
  const { code, err } = await runCommand(['drill', '--accounts', '3'])
  expect(code).toBe(2)
  expect(err).toContain('--accounts: 20 to 5000')
})
