import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { StoreBusyError } from '../../src/custody/ports.ts'
import { createBatcher } from '../../src/store/batch.ts'

type Item = { readonly id: number; readonly keys?: readonly string[] }

/** Answers each input with its id, after a while, and remembers what came together. */
function recorder(serve: (item: Item) => number = ({ id }) => id) {
  const batches: number[][] = []
  const ask = createBatcher<Item, number>({
    keysOf: ({ keys = [] }) => keys,
    run: async (items) => {
      batches.push(items.map(({ id }) => id))
      await sleep(5)
      return items.map((item) => {
        try {
          return { status: 'fulfilled', value: serve(item) }
        } catch (reason) {
          return { status: 'rejected', reason }
        }
      })
    },
  })
  return { batches, ask }
}

const items = (count: number): Item[] => Array.from({ length: count }, (_, id) => ({ id }))

test('a lone call waits for nobody; those that come meanwhile go together, each with its own answer', async () => {
  const { batches, ask } = recorder()
  const answers = await Promise.all(items(20).map(async (item) => await ask(item)))

  expect(answers).toEqual(items(20).map(({ id }) => id))
  expect(batches.map((batch) => batch.length)).toEqual([1, 19])
})

test('two that share a key never go together, and keep their order', async () => {
  const { batches, ask } = recorder()
  const order: number[] = []
  const keyed = items(9).map(({ id }) => ({ id, keys: [`identity ${id % 3}`] }))
  await Promise.all(
    keyed.map(async (item) => {
      order.push(await ask(item))
    }),
  )

  for (const batch of batches) expect(new Set(batch.map((id) => id % 3)).size).toBe(batch.length)
  for (const identity of [0, 1, 2]) {
    const mine = order.filter((id) => id % 3 === identity)
    expect(mine).toEqual(mine.toSorted((a, b) => a - b))
  }
})

test('one that waits for its turn is not overtaken by others that share another key with it', async () => {
  const { batches, ask } = recorder()
  await Promise.all([
    ask({ id: 0 }),
    ask({ id: 1, keys: ['a'] }),
    ask({ id: 2, keys: ['a', 'b'] }),
    ask({ id: 3, keys: ['b'] }),
  ])

  expect(batches).toEqual([[0], [1], [2], [3]])
})

test('a failure is its own: the others of the batch are answered', async () => {
  const { ask } = recorder(({ id }) => {
    if (id === 7) throw new RangeError('seven')
    return id
  })
  const answers = await Promise.allSettled(items(20).map(async (item) => await ask(item)))

  expect(answers.filter(({ status }) => status === 'rejected')).toHaveLength(1)
  expect(answers[7]).toMatchObject({ reason: expect.any(RangeError) })
})

test('a batch that fails as a whole fails its calls, and the next one is served', async () => {
  let fails = true
  const ask = createBatcher<Item, number>({
    run: async (given) => {
      await sleep(1)
      if (fails) throw new Error('no database')
      return given.map(({ id }) => ({ status: 'fulfilled', value: id }))
    },
  })
  const failed = await Promise.allSettled([ask({ id: 1 }), ask({ id: 2 })])
  fails = false

  expect(failed.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(await ask({ id: 3 })).toBe(3)
})

test('an answer that is missing fails its call and holds nobody', async () => {
  const ask = createBatcher<Item, number>({ run: async () => [] })

  await expect(ask({ id: 1 })).rejects.toThrow('a batch must answer every input')
  await expect(ask({ id: 2 })).rejects.toThrow('a batch must answer every input')
})

test('a crowd is bounded: whoever comes too late is told that we are busy', async () => {
  const { batches, ask } = recorder()
  const answers = await Promise.allSettled(items(2_000).map(async (item) => await ask(item)))
  const refused = answers.filter((answer) => answer.status === 'rejected')

  expect(refused.length).toBeGreaterThan(900)
  for (const { reason } of refused) expect(reason).toBeInstanceOf(StoreBusyError)
  expect(Math.max(...batches.map((batch) => batch.length))).toBeLessThanOrEqual(64)
})

test('a batch that is kept waiting is overtaken by all that share no key with it', async () => {
  let letGo = (): void => {}
  const held = new Promise<void>((resolve) => (letGo = resolve))
  const served: string[] = []
  const batcher = createBatcher<string, string>({
    keysOf: (input) => [input.slice(0, 1)],
    run: async (inputs) => {
      if (inputs.includes('a-1')) await held
      served.push(...inputs)
      return inputs.map((value) => ({ status: 'fulfilled', value }))
    },
  })
  const first = batcher('a-1')
  const second = batcher('a-2')

  expect(await batcher('b-1')).toBe('b-1')
  expect(served).toEqual(['b-1'])
  letGo()
  await Promise.all([first, second])
  expect(served).toEqual(['b-1', 'a-1', 'a-2'])
})
