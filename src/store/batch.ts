import { StoreBusyError } from '../custody/ports.ts'

export type BatchOptions<In, Out> = {
  /** Serves them all at once, one result for each; a rejection fails them all. */
  readonly run: (inputs: readonly In[]) => Promise<readonly PromiseSettledResult<Out>[]>
  /** Two inputs that share a key never share a batch: the second sees what the first has done. */
  readonly keysOf?: (input: In) => readonly string[]
}

const MAX_BATCH = 64
/** Under way at once, stalled ones included; each holds a connection. */
const MAX_BATCHES = 4
/** Many times what a batch takes when nobody keeps it waiting. */
const STALLED_MS = 200
const MAX_WAITING = 1024

type Waiting<In, Out> = {
  readonly input: In
  readonly keys: readonly string[]
  readonly resolve: (value: Out) => void
  readonly reject: (reason: unknown) => void
}

/**
 * Gathers the calls that arrive while one batch is under way into the next one. A lone call waits
 * for nobody; a hundred at once cost a few round trips and one commit. A batch that Postgres keeps
 * waiting, for a lock say, is overtaken: it holds up only those that share a key with it.
 */
export function createBatcher<In, Out>(
  options: BatchOptions<In, Out>,
): (input: In) => Promise<Out> {
  let waiting: Waiting<In, Out>[] = []
  const underWay = new Set<string>()
  let batches = 0
  let stalled = 0

  function startBatches(): void {
    while (batches - stalled < 1 && batches < MAX_BATCHES && waiting.length > 0) {
      const batch = takeBatch()
      if (batch.length === 0) return
      void run(batch)
    }
  }

  async function run(batch: readonly Waiting<In, Out>[]): Promise<void> {
    const keys = batch.flatMap((item) => item.keys)
    for (const key of keys) underWay.add(key)
    batches += 1
    let isStalled = false
    const overtake = setTimeout(() => {
      isStalled = true
      stalled += 1
      startBatches()
    }, STALLED_MS)
    await serve(batch)
    clearTimeout(overtake)
    batches -= 1
    if (isStalled) stalled -= 1
    for (const key of keys) underWay.delete(key)
    startBatches()
  }

  /** In order of arrival, without those whose keys are under way or an earlier one has. */
  function takeBatch(): Waiting<In, Out>[] {
    const taken = new Set(underWay)
    const batch: Waiting<In, Out>[] = []
    const left: Waiting<In, Out>[] = []
    for (const item of waiting) {
      const fits = batch.length < MAX_BATCH && !item.keys.some((key) => taken.has(key))
      for (const key of item.keys) taken.add(key)
      ;(fits ? batch : left).push(item)
    }
    waiting = left
    return batch
  }

  async function serve(batch: readonly Waiting<In, Out>[]): Promise<void> {
    try {
      const results = await options.run(batch.map((item) => item.input))
      for (const [index, item] of batch.entries()) {
        const result = results[index]
        if (result === undefined) item.reject(new TypeError('a batch must answer every input'))
        else if (result.status === 'fulfilled') item.resolve(result.value)
        else item.reject(result.reason)
      }
    } catch (error) {
      for (const item of batch) item.reject(error)
    }
  }

  return (input) =>
    new Promise((resolve, reject) => {
      if (waiting.length >= MAX_WAITING) {
        reject(new StoreBusyError('too many calls are waiting for the database'))
        return
      }
      waiting.push({ input, keys: options.keysOf?.(input) ?? [], resolve, reject })
      startBatches()
    })
}
