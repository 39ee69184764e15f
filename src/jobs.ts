import { setTimeout as sleep } from 'node:timers/promises'
import type { Context } from './context.ts'
import type { Logger } from './logger.ts'

/** Looks in the directory's log for what was submitted: one read for each, at most 20 in a run. */
const RECONCILE_EVERY_MS = 60_000

export type Jobs = {
  /** Resolves when the run under way is over. */
  readonly stop: () => Promise<void>
}

/** What the service does by itself. The first run is at once: a service that died may have left work. */
export function startJobs(context: Pick<Context, 'reconcile'>, log: Logger): Jobs {
  return repeat(async (signal) => {
    const found = await context.reconcile(signal)
    if (found.looked > 0) log.info({ job: 'reconcile', ...found }, 'submissions looked for')
  }, log)
}

/** One run at a time; one that fails is logged, and the next one comes all the same. */
function repeat(work: (signal: AbortSignal) => Promise<void>, log: Logger): Jobs {
  const ending = new AbortController()
  const running = (async () => {
    while (!ending.signal.aborted) {
      await work(ending.signal).catch((error: unknown) => log.warn({ err: error }, 'a job failed'))
      await sleep(RECONCILE_EVERY_MS, undefined, { signal: ending.signal, ref: false }).catch(
        () => undefined,
      )
    }
  })()
  return {
    async stop() {
      ending.abort()
      await running
    },
  }
}
