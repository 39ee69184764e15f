import { setTimeout as sleep } from 'node:timers/promises'
import type { Context } from './context.ts'
import type { Logger } from './logger.ts'

/** Looks in the directory's log for what was submitted: one read for each, at most 20 in a run. */
const RECONCILE_EVERY_MS = 60_000
/** What officers did not agree to in time is expired for whoever looks; nothing depends on it. */
const SWEEP_EVERY_MS = 60_000

/** What the directory shows is compared twice a minute, so that an alarm comes within one. */
const FOLLOW_EVERY_MS = 30_000

/** A checkpoint follows an append within both of these and what the work takes. */
const SEQUENCE_EVERY_MS = 25
const LOOK_EVERY_MS = 125

/** Apart from the log, which waits for no witness; who signs with one looks by itself. */
const COSIGN_EVERY_MS = 1_000

/** Officers are told at once: a second is the most that a request waits for its first message. */
const DELIVER_EVERY_MS = 1_000

export type Jobs = {
  /** Resolves when the run under way is over. */
  readonly stop: () => Promise<void>
}

/** What the service does by itself. The first run is at once: a service that died may have left work. */
export function startJobs(
  context: Pick<
    Context,
    'reconcile' | 'auditLog' | 'follow' | 'notifications' | 'sweep' | 'witnesses'
  >,
  log: Logger,
): Jobs {
  const { auditLog } = context
  const jobs = [
    repeat(SWEEP_EVERY_MS, log, async () => {
      const swept = await context.sweep()
      if (swept.expired + swept.counted > 0)
        log.info({ job: 'sweep', ...swept }, 'time ended these')
    }),
    repeat(RECONCILE_EVERY_MS, log, async (signal) => {
      const found = await context.reconcile(signal)
      if (found.looked > 0) log.info({ job: 'reconcile', ...found }, 'submissions looked for')
    }),
    repeat(FOLLOW_EVERY_MS, log, async (signal) => {
      const { foreign, ...found } = await context.follow(signal)
      if (found.operations > 0)
        log.info(
          { job: 'follow', ...found, nullified: found.nullified.length, foreign: foreign.length },
          'operations of identities in care compared with the record',
        )
    }),
    repeat(SEQUENCE_EVERY_MS, log, async (signal) => {
      while (!signal.aborted && (await auditLog.sequence()) > 0);
    }),
    repeat(LOOK_EVERY_MS, log, async () => await auditLog.look()),
    repeat(COSIGN_EVERY_MS, log, async () => await context.witnesses.look()),
    repeat(DELIVER_EVERY_MS, log, async () => {
      const { told, failed } = await context.notifications.deliver()
      if (told + failed > 0) log.info({ job: 'notify', told, failed }, 'people were told')
    }),
  ]
  auditLog.expectLooks()
  return {
    async stop() {
      await Promise.all(jobs.map(async (job) => await job.stop()))
      // What was committed to the end is checkpointed; and the next instance need not wait.
      while ((await auditLog.sequence()) > 0);
      await auditLog.look()
      await auditLog.resign()
    },
  }
}

/** One run at a time; one that fails is logged, and the next one comes all the same. */
function repeat(everyMs: number, log: Logger, work: (signal: AbortSignal) => Promise<void>): Jobs {
  const ending = new AbortController()
  const running = (async () => {
    while (!ending.signal.aborted) {
      await work(ending.signal).catch((error: unknown) => log.warn({ err: error }, 'a job failed'))
      await sleep(everyMs, undefined, { signal: ending.signal, ref: false }).catch(() => undefined)
    }
  })()
  return {
    async stop() {
      ending.abort()
      await running
    },
  }
}
