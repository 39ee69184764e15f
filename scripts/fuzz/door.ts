import { createClient } from '../../src/client/client.ts'
import { signingBytes } from '../../src/plc/encode.ts'
import { generateMessages } from '../../test/support/generate-messages.ts'
import { fuzzDoor } from '../../test/support/generate-requests.ts'
import { genesisOf } from '../../test/support/operations.ts'
import { createMemoryWatch } from './memory.ts'
import type { MemoryGrowth } from './memory.ts'
import { startFuzzedService } from './service.ts'

export type DoorReport = MemoryGrowth & {
  readonly requests: number
  readonly seconds: number
  /** How often each status came; `none`: the connection was closed without one. */
  readonly statuses: Readonly<Record<string, number>>
  /** 5xx, unanswered requests, error lines of the log, a crash: nothing of it should be. */
  readonly failures: readonly string[]
}

const SIGNABLE_ONE_IN = 6

/** Generated requests against every door of a real service, sixteen at a time. */
export async function fuzzDoors(options: {
  readonly seed: number
  readonly count: number
  readonly onTenth: (done: number) => void
}): Promise<DoorReport> {
  const service = await startFuzzedService()
  const memory = createMemoryWatch(options.count)
  const start = performance.now()
  const { keys } = await createClient({ url: service.url, credential: service.key }).keys()
  const report = await fuzzDoor({
    ...options,
    url: service.url,
    key: service.key,
    keyId: 'pds',
    messages: someSignable(options.seed, keys[0]?.did ?? ''),
    async onDone(done) {
      if (memory.isDue(done)) memory.keep(done, await service.rss())
      if (done > 0 && done % Math.ceil(options.count / 10) === 0) options.onTenth(done)
    },
  })
  const seconds = (performance.now() - start) / 1_000
  const failures = [...report.failures.slice(0, 10), ...(await service.stop())]
  const statuses = [...report.statuses].map(([status, count]) => [status ?? 'none', count])
  return {
    requests: options.count,
    seconds,
    statuses: Object.fromEntries(statuses) as Record<string, number>,
    failures,
    ...memory.growth(),
  }
}

/** Now and then an account that a rule allows, so that keys are used and rows are written too. */
function* someSignable(seed: number, did: string): Generator<Uint8Array> {
  const messages = generateMessages(seed)
  for (let n = 0; ; n += 1) {
    yield n % SIGNABLE_ONE_IN === 0
      ? signingBytes(genesisOf(`fuzz-${seed}-${n}`, [did]))
      : (messages.next().value as Uint8Array)
  }
}
