import { setTimeout as sleep } from 'node:timers/promises'
import { SignerError } from '../signer.ts'
import { faultOf } from './fault.ts'
import type { KmsFault } from './fault.ts'
import { pauseBefore } from './limits.ts'

export type Tries = {
  /** When, by `performance.now()`, no further try may begin. */
  readonly until: number
  readonly signal: AbortSignal
  /** Of each try that failed. */
  readonly report: (fault: KmsFault) => void
}

/**
 * Tries until one succeeds, one fails for good, or time is up. Each try is for the same bytes; that an
 * earlier one may have used the key is not forgotten.
 * @throws SignerError `timeout` when the key may have been used, `unavailable` when it certainly was
 *   not, `key-unusable` when trying again does not help
 */
export async function tryUntil<T>(
  { until, signal, report }: Tries,
  work: () => Promise<T>,
): Promise<T> {
  let mayHaveSigned = false
  for (let tries = 1; ; tries += 1) {
    try {
      return await work()
    } catch (error) {
      if (error instanceof SignerError) throw error
      const fault = faultOf(error)
      report(fault)
      if (fault.kind === 'final') throw failed('key-unusable', fault)
      mayHaveSigned ||= fault.kind === 'lost'
      const pause = pauseBefore(tries, Math.random())
      if (signal.aborted || performance.now() + pause >= until) {
        throw failed(mayHaveSigned ? 'timeout' : 'unavailable', fault)
      }
      await sleep(pause, undefined, { signal }).catch(() => undefined)
    }
  }
}

function failed(code: 'timeout' | 'unavailable' | 'key-unusable', fault: KmsFault): SignerError {
  return new SignerError(code, `AWS KMS: ${fault.message}`, { cause: fault })
}
