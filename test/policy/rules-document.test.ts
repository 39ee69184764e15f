import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { didBudget } from '../../src/policy/invariants/did-budget.ts'
import { FRESH_GENESIS_MS } from '../../src/policy/facts.ts'
import { MAX_UNSIGNED_BYTES } from '../../src/plc/operation.ts'
import { SIGNATURE_STANDS_MS } from '../../src/custody/rivals.ts'
import { loadPolicySet } from '../../src/policy-files.ts'
import { readProduct } from '../support/architecture.ts'

const at = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url))
const text = await readFile(at('docs/rules.md'), 'utf8')

/** The cells of each row of each table, by the id in its first one. */
const rows = text
  .split('\n')
  .filter((line) => line.startsWith('| `'))
  .map((line) => line.slice(2, -2).split(' | '))
const ids = rows.map(([first]) => first!.replaceAll('`', ''))

/** Ids in code: what has the form of one, written as text. */
async function idsInCode(): Promise<string[]> {
  const strings = (await readProduct())
    .filter(({ file }) => file.startsWith('src/'))
    .flatMap((source) => source.strings)
  return [...new Set(strings.filter((text) => /^(PLC|PREV|DID|POLICY)-[A-Z-]+$/.test(text)))]
}

test('docs/rules.md lists exactly the rules of the code and of the shipped policy', async () => {
  const shipped = await loadPolicySet(at('policies'))
  const policyIds = [...shipped.rules, ...shipped.denies].map((rule) => rule.id)
  const codeIds = await idsInCode()
  expect(codeIds.length).toBeGreaterThan(20)
  expect([...ids].sort()).toEqual([...codeIds, ...policyIds].sort())
})

test('each has one row that says what, why and what to do', () => {
  expect(new Set(ids).size).toBe(ids.length)
  for (const row of rows) {
    expect(row).toHaveLength(4)
    expect(row.every((cell) => cell.trim() !== '')).toBe(true)
  }
})

test('its numbers are those of the code', async () => {
  const row = (id: string) => rows[ids.indexOf(id)]![1]
  const { hour, day, week } = didBudget
  expect(row('DID-BUDGET')).toContain(
    `${hour} operations of one identity an hour, ${day} a day, ${week} a week`,
  )
  expect(row('PLC-TOMBSTONE-FRESH')).toContain(`${FRESH_GENESIS_MS / 1000} seconds`)
  expect(row('PREV-ONE-LIVE-SIGNATURE')).toContain(`${SIGNATURE_STANDS_MS / 1000} seconds`)
  expect(row('PLC-OPERATION-SIZE')).toContain(`${MAX_UNSIGNED_BYTES} bytes`)
  const shipped = await loadPolicySet(at('policies'))
  const limit = shipped.rules.find((rule) => rule.id === 'DEPARTURE')?.limits.global
  expect(row('DEPARTURE')).toContain(`${limit?.count} a day`)
})
