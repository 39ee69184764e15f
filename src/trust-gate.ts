import type { PolicySet } from './policy/policy-set.ts'
import type { Held, HeldStore } from './sequencer/held.ts'
import { TrustError } from './trust/error.ts'
import { parseFreeze } from './trust/freeze.ts'
import { decodeTrust, differences } from './trust/record.ts'

/** Whether what this instance has loaded is in force. */
export type TrustGate = {
  /** Reads the record where it was not read within a second. */
  readonly look: () => Promise<Trusted>
}

export type Trusted = {
  /** Why nothing is signed; null: what was loaded is in force. */
  readonly cause: string | null
  /** What officers have stopped, as the record has it. */
  readonly frozen: readonly string[]
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
  let found: Trusted = { cause: null, frozen: [] }
  let readAt = -Infinity
  let underWay: Promise<Trusted> | null = null

  async function read(): Promise<Trusted> {
    // From before the reading: what was changed during it may not be in it.
    const began = now()
    found = await lookAt(held, loaded)
    readAt = began
    return found
  }

  return {
    look: async () => {
      if (now() - readAt < FRESH_MS) return found
      underWay ??= read().finally(() => (underWay = null))
      return await underWay
    },
  }
}

async function lookAt(
  held: Pick<HeldStore, 'read'>,
  loaded: Pick<PolicySet, 'env' | 'digest' | 'roster'>,
): Promise<Trusted> {
  try {
    const record = await within(held.read())
    const frozen = record?.frozen ?? []
    // What is not known here stops everything.
    frozen.forEach(parseFreeze)
    return { cause: judge(record, loaded), frozen }
  } catch (error) {
    const cause = error instanceof TrustError ? error.message : 'the trust record cannot be read'
    return { cause, frozen: [] }
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
