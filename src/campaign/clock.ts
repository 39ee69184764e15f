import { setTimeout as sleep } from 'node:timers/promises'

/** Time as a campaign needs it; a test brings its own. */
export type Clock = {
  /** Milliseconds; never goes back. */
  now(): number
  sleep(ms: number): Promise<void>
}

export const systemClock: Clock = {
  now: () => performance.now(),
  sleep: async (ms) => {
    await sleep(ms)
  },
}
