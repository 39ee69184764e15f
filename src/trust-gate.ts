import type { PolicySet } from './policy/policy-set.ts'
import type { Held, HeldStore } from './sequencer/held.ts'
import { TrustError } from './trust/error.ts'
import { decodeTrust, differences } from './trust/record.ts'

/** Whether what this instance has loaded is in force. */
export type TrustGate = {
  /** Reads the record where it was not read within a second. @returns why nothing is signed; null: it is in force */
  readonly look: () => Promise<string | null>
}

/** With the time of the reading itself this keeps every change within two seconds. */
const FRESH_MS = 1_000
const READ_WITHIN_MS = 2_000

/**
 * Holds what was loaded against the trust record, before every claim of a key: no instance signs under
 * yesterday's policies or officers, and none when the record cannot be read. It never waits longer than
 * two seconds, and whoever asks meanwhile waits for the same reading.
 * @param now milliseconds, of a clock that is never set
 */
export function createTrustGate(
  held: Pick<HeldStore, 'read'>,
  loaded: Pick<PolicySet, 'env' | 'digest' | 'roster'>,
  now: () => number,
): TrustGate {
  let cause: string | null = null
  let readAt = -Infinity
  let underWay: Promise<string | null> | null = null

  async function read(): Promise<string | null> {
    // From before the reading: what was changed during it may not be in it.
    const began = now()
    cause = await causeOf(held, loaded)
    readAt = began
    return cause
  }

  return {
    look: async () => {
      if (now() - readAt < FRESH_MS) return cause
      underWay ??= read().finally(() => (underWay = null))
      return await underWay
    },
  }
}

async function causeOf(
  held: Pick<HeldStore, 'read'>,
  loaded: Pick<PolicySet, 'env' | 'digest' | 'roster'>,
): Promise<string | null> {
  try {
    return judge(await within(held.read()), loaded)
  } catch (error) {
    if (error instanceof TrustError) return error.message
    return 'the trust record cannot be read'
  }
}

/** A store that does not answer is one that cannot be read. */
async function within(reading: Promise<Held | null>): Promise<Held | null> {
  const late = AbortSignal.timeout(READ_WITHIN_MS)
  return await Promise.race([
    reading,
    new Promise<never>((_resolve, reject) => {
      late.addEventListener('abort', () => reject(new Error('no answer in time')), { once: true })
    }),
  ])
}

function judge(
  held: Held | null,
  loaded: Pick<PolicySet, 'env' | 'digest' | 'roster'>,
): string | null {
  if (held?.trust == null) return 'there is no trust record; run "scripts/holdfast trust init"'
  const other = differences(decodeTrust(held.trust), loaded)
  if (other.length === 0) return null
  return `something else is in force than this instance has loaded (${other.join(', ')}); restart it`
}
