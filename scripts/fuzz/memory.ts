/** Resident memory, in MB. */
export type MemoryGrowth = {
  /** The most that was seen in the first tenth. */
  readonly rssFirstTenthMb: number
  /** The most that was seen after it. */
  readonly rssAfterMb: number
  readonly growthMb: number
}

/**
 * In MB. With the limits of a machine with memory to spare, V8 leaves tens of megabytes of garbage where
 * they are, and resident memory says more of that than of what is held.
 */
export const HEAP_LIMITS = { oldMb: 256, semiSpaceMb: 16 } as const

/** Looks, in all, so often. */
const LOOKS = 200

/**
 * Resident memory over a run of `count` steps: how much higher it went after the first tenth than in it.
 * The first tenth warms up code and caches; what grows after it would grow for ever.
 */
export function createMemoryWatch(count: number) {
  const every = Math.max(1, Math.floor(count / LOOKS))
  let first = 0
  let after = 0
  const keep = (done: number, rss: number): void => {
    if (done < count / 10) first = Math.max(first, rss)
    else after = Math.max(after, rss)
  }
  return {
    /** @param rss bytes */
    look(done: number, rss: () => number): void {
      if (done % every === 0) keep(done, rss())
    },
    isDue: (done: number): boolean => done % every === 0,
    keep,
    growth: (): MemoryGrowth => ({
      rssFirstTenthMb: toMb(first),
      rssAfterMb: toMb(after),
      growthMb: toMb(Math.max(0, after - first)),
    }),
  }
}

function toMb(bytes: number): number {
  return Math.round(bytes / 100_000) / 10
}
