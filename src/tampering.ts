import type { CustodyEvent } from './custody/events.ts'
import { StoreError } from './store/error.ts'

type Call = (...args: never[]) => Promise<unknown>

/**
 * The same calls, with an alarm when one of them finds that somebody else has written to the database.
 * Whoever called is still told of a failure of ours, and of nothing more.
 */
export function watched<T extends object>(calls: T, report: (event: CustodyEvent) => void): T {
  const entries = Object.entries(calls as Record<string, Call>)
  return Object.fromEntries(
    entries.map(([name, call]) => [name, watchedCall(call, report)]),
  ) as unknown as T
}

export function watchedCall<F extends Call>(call: F, report: (event: CustodyEvent) => void): F {
  const watching = async (...args: Parameters<F>) => {
    try {
      return await call(...args)
    } catch (error) {
      if (isTampering(error)) report({ kind: 'row-tampered', error })
      throw error
    }
  }
  return watching as F
}

function isTampering(error: unknown): error is StoreError {
  return error instanceof StoreError && ['row-tampered', 'seal-broken'].includes(error.code)
}
