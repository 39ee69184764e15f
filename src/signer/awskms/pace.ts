import { setTimeout as sleep } from 'node:timers/promises'
import { KmsFault } from './fault.ts'

export type Pace = {
  /**
   * Waits for a place among the calls under way, and for its turn by the rate. Whoever would wait
   * longer than `patienceMs` is told so at once, and takes no turn from anybody; so is who is aborted.
   * @returns to be called when the call is over
   * @throws KmsFault `throttled`
   */
  enter(patienceMs: number, signal?: AbortSignal): Promise<() => void>
}

/**
 * A quota is the account's, shared with everything else there. So callers are spaced here instead of
 * being throttled there: at most `perSecond` calls, a tenth of them at once, and `places` under way.
 */
export function createPace(
  { perSecond, places }: { readonly perSecond: number; readonly places: number },
  now: () => number = () => performance.now(),
): Pace {
  const turns = createTurns(perSecond, now)
  let free = places
  const waiting: (() => void)[] = []
  const leave = () => {
    const next = waiting.shift()
    if (next === undefined) free += 1
    else next()
  }
  async function place(patience: AbortSignal): Promise<void> {
    if (free > 0) {
      free -= 1
      return
    }
    await new Promise<void>((resolve, reject) => {
      const giveUp = () => {
        waiting.splice(waiting.indexOf(enter), 1)
        reject(new KmsFault('throttled', 'too many calls are under way'))
      }
      const enter = () => {
        patience.removeEventListener('abort', giveUp)
        resolve()
      }
      patience.addEventListener('abort', giveUp, { once: true })
      waiting.push(enter)
    })
  }
  return {
    async enter(patienceMs, signal = NEVER) {
      const since = now()
      await place(
        AbortSignal.any([signal, AbortSignal.timeout(Math.max(0, Math.ceil(patienceMs)))]),
      )
      try {
        const wait = turns.take(Math.max(0, patienceMs - (now() - since)))
        if (wait > 0) await sleep(wait, undefined, { signal })
      } catch (error) {
        leave()
        throw error instanceof KmsFault
          ? error
          : new KmsFault('throttled', 'aborted before its turn')
      }
      return leave
    },
  }
}

const NEVER = new AbortController().signal

/** A token bucket, as the time at which the next call may go (GCRA). */
function createTurns(perSecond: number, now: () => number) {
  const step = 1_000 / perSecond
  const burst = 100
  let next = Number.NEGATIVE_INFINITY
  return {
    /** @returns milliseconds until the turn */
    take(patienceMs: number): number {
      const at = Math.max(next, now() - burst)
      const wait = Math.max(0, at - now())
      if (wait > patienceMs) {
        throw new KmsFault('throttled', `more than ${perSecond} calls a second are asked for`)
      }
      next = at + step
      return wait
    },
  }
}
