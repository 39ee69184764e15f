import type { Clock } from '../../src/campaign/clock.ts'

/** Time that passes only while somebody sleeps; `slept` is each wait, in milliseconds. */
export type FakeClock = Clock & { readonly slept: number[] }

export function createFakeClock(): FakeClock {
  let now = 0
  const slept: number[] = []
  return {
    slept,
    now: () => now,
    sleep: async (ms) => {
      slept.push(ms)
      const until = now + ms
      await Promise.resolve()
      now = Math.max(now, until)
    },
  }
}
