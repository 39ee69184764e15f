import { systemClock } from './clock.ts'
import type { Clock } from './clock.ts'

/** plc.directory allows one address 500 requests in five minutes. */
export const DIRECTORY_PER_SECOND = 500 / 300
/** A little less: the PDS and the service ask from the same address. */
export const DEFAULT_PER_SECOND = 1.5

/** However long a directory asks us to wait, somebody should look before more than this has passed. */
const MAX_HOLD_MS = 300_000
const MAX_BACKOFF_MS = 60_000

/** Spaces out the requests of a campaign, whoever sends them. */
export type Pace = {
  /** Resolves when the next request may be sent. */
  turn(): Promise<void>
  /** The directory wants fewer: nobody has a turn before the time it asks for, and longer each time. */
  tooMany(retryAfterMs: number | null): void
  /** It answered; the next "too many" counts as the first again. */
  answered(): void
}

export function createPace(perSecond: number, clock: Clock = systemClock): Pace {
  const interval = 1_000 / perSecond
  let next = clock.now()
  let refusals = 0
  return {
    async turn() {
      for (;;) {
        const wait = next - clock.now()
        if (wait <= 0) break
        // A hold may have come meanwhile, so the time is looked at again.
        await clock.sleep(wait)
      }
      next = Math.max(next, clock.now()) + interval
    },
    tooMany(retryAfterMs) {
      const wait = Math.max(retryAfterMs ?? 0, backoffMs(refusals))
      refusals += 1
      next = Math.max(next, clock.now() + Math.min(wait, MAX_HOLD_MS))
    },
    answered() {
      refusals = 0
    },
  }
}

/** One second, doubled each time up to a minute, and a random part of half of it: no two in step. */
export function backoffMs(attempt: number): number {
  const whole = Math.min(1_000 * 2 ** Math.min(attempt, 16), MAX_BACKOFF_MS)
  return whole * (0.75 + Math.random() / 2)
}
