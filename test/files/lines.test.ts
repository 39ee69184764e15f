import { array, assert, asyncProperty, infiniteStream, integer, string } from 'fast-check'
import { expect, test } from 'vitest'
import { linesOf } from '../../src/files/lines.ts'

const MAX = 100

async function linesIn(chunks: readonly Uint8Array[]): Promise<[number, string | null][]> {
  const found: [number, string | null][] = []
  async function* stream() {
    for (const chunk of chunks) yield await Promise.resolve(chunk)
  }
  for await (const { number, bytes } of linesOf(stream(), { maxBytes: MAX })) {
    found.push([number, bytes?.toString('latin1') ?? null])
  }
  return found
}

const bytesOf = (text: string) => new Uint8Array(Buffer.from(text, 'latin1'))

test('lines are the same however the stream is cut', async () => {
  const line = string({ maxLength: MAX }).map((text) => text.replaceAll(/[^\x20-\x7e]/g, 'x'))
  await assert(
    asyncProperty(
      array(line, { minLength: 1, maxLength: 20 }),
      infiniteStream(integer({ min: 1, max: 70 })),
      async (lines, cuts) => {
        const whole = bytesOf(lines.map((text) => `${text}\n`).join(''))
        const chunks: Uint8Array[] = []
        for (let at = 0; at < whole.length;) {
          const next = at + Number(cuts.next().value)
          chunks.push(whole.subarray(at, next))
          at = next
        }
        expect(await linesIn(chunks)).toEqual(lines.map((text, index) => [index + 1, text]))
      },
    ),
  )
})

test('the last line needs no end, and an empty file has no line', async () => {
  expect(await linesIn([bytesOf('a\nb')])).toEqual([
    [1, 'a'],
    [2, 'b'],
  ])
  expect(await linesIn([])).toEqual([])
  expect(await linesIn([bytesOf('')])).toEqual([])
})

test('a line that is too long is told by its number, and those after it are read', async () => {
  const long = 'x'.repeat(MAX + 1)
  const exact = 'y'.repeat(MAX)
  expect(
    await linesIn([bytesOf(`a\n${long}`), bytesOf(`${long}\n`), bytesOf(`${exact}\nb\n`)]),
  ).toEqual([
    [1, 'a'],
    [2, null],
    [3, exact],
    [4, 'b'],
  ])
  expect(await linesIn([bytesOf(long)])).toEqual([[1, null]])
})

test('of a line without end, two gigabytes here, nothing is kept', async () => {
  let most = 0
  async function* endless() {
    for (let count = 0; count < 2_000; count += 1) {
      yield await Promise.resolve(Buffer.alloc(1024 * 1024))
      if (count % 100 === 0) most = Math.max(most, process.memoryUsage().arrayBuffers)
    }
  }
  const before = process.memoryUsage().arrayBuffers
  for await (const line of linesOf(endless(), { maxBytes: MAX })) expect(line.bytes).toBeNull()
  expect(most - before).toBeLessThan(1024 * 1024 * 1024)
})
