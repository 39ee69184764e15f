import { readFile } from 'node:fs/promises'
import { expect, it } from 'vitest'
import {
  parseGoatOperation,
  renderGoatData,
  renderGoatOperation,
  renderGoatSorted,
} from '../../scripts/online/goat.ts'
import { parseUnsignedOperation } from '../../src/plc/operation.ts'

const golden = async (name: string): Promise<string> =>
  await readFile(new URL(`goat/${name}`, import.meta.url), 'utf8')

it('an operation is printed as `goat plc sign` prints it, byte for byte', async () => {
  const text = await golden('signed-odd.json')
  expect(`${renderGoatOperation(JSON.parse(text) as object)}\n`).toBe(text)
})

it('the order in which fields came makes no difference', async () => {
  const text = await golden('signed-odd.json')
  const reversed = Object.fromEntries(Object.entries(JSON.parse(text) as object).toReversed())
  expect(`${renderGoatOperation(reversed)}\n`).toBe(text)
})

it('history is printed as `goat plc history` prints it', async () => {
  const rows = JSON.parse(await golden('audit-log.json')) as { operation: object }[]
  const printed = rows.map(({ operation }) => `${renderGoatSorted(operation)}\n`).join('')
  expect(printed).toBe(await golden('history.txt'))
})

it('data is printed as `goat plc data` prints it', async () => {
  const text = await golden('data.json')
  const reversed = Object.fromEntries(Object.entries(JSON.parse(text) as object).toReversed())
  expect(`${renderGoatData(reversed)}\n`).toBe(text)
})

it('an update of a legacy head, whose type goat leaves empty, is an update', async () => {
  const operation = parseGoatOperation(await golden('update-of-legacy.json'), 'FILE')
  expect(parseUnsignedOperation(operation)).toMatchObject({
    type: 'plc_operation',
    alsoKnownAs: ['at://new.example.com'],
  })
})

it('an empty type means nothing else', () => {
  expect(parseGoatOperation('{"type":"","prev":"x"}', 'FILE')).toEqual({ type: '', prev: 'x' })
})

it.each(['', 'x'.repeat(86)])('a signature %j in the file is left out', (sig) => {
  const text = JSON.stringify({ type: 'plc_tombstone', prev: 'x', sig })
  expect(parseGoatOperation(text, 'FILE')).toEqual({ type: 'plc_tombstone', prev: 'x' })
})

it('a field named __proto__ stays one', () => {
  const text = '{"type":"plc_operation","verificationMethods":{"__proto__":"x"}}'
  expect(JSON.stringify(parseGoatOperation(text, 'FILE'))).toBe(text)
})

it.each(['', '[', 'null', '[]', '"x"', '1'])('a file with %j is wrong usage', (text) => {
  expect(() => parseGoatOperation(text, 'FILE')).toThrow('FILE')
})
