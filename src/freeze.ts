import type { Logger } from './logger.ts'
import type { PolicySet } from './policy/policy-set.ts'
import { changeHeld } from './sequencer/change-held.ts'
import type { Held, HeldStore } from './sequencer/held.ts'
import type { Database } from './store/database.ts'
import { addNotice } from './store/notices.ts'
import { recordTrust } from './store/policy-sets.ts'
import { TrustError } from './trust/error.ts'
import { addFreeze, freezeText, parseFreeze } from './trust/freeze.ts'
import type { Freeze } from './trust/freeze.ts'

/**
 * Stops signing: for everything, a caller or a key.
 * @returns what is frozen from now on
 * @throws TrustError `refused` for what is not there
 */
export type FreezeSigning = (input: {
  /** `all`, `caller NAME`, `key ID`. */
  readonly scope: string
  /** `person:ID`, or `operator` at the host. */
  readonly by: string
}) => Promise<readonly string[]>

/**
 * First the record, which every instance reads before it uses a key, and then the alarm and the entry: a database
 * that is away stops nobody from stopping. Where these fail the call does, and is made again.
 */
export function createFreeze(parts: {
  readonly held: HeldStore
  readonly db: Database
  readonly policies: Pick<PolicySet, 'keys' | 'callers'>
  readonly log: Logger
}): FreezeSigning {
  const { held: store, db, policies, log } = parts
  return async ({ scope, by }) => {
    requireKnown(scope, policies)
    const now = new Date()
    const held = await changeHeld(store, (current) => withFreeze(current, { scope, by }, now))
    log.error({ event: 'frozen', step: scope, by }, `signing is frozen: ${scope}`)
    // What stands, though somebody else had frozen it before: an entry that failed then is made up for.
    const stands = held.frozen.map(parseFreeze).filter((freeze) => freeze.scope === scope)
    for (const freeze of stands) {
      await addNotice(db, noticeOf(freeze))
      await recordTrust(db, [{ kind: 'signing.frozen', ...freeze }])
    }
    return held.frozen
  }
}

function withFreeze(held: Held | null, stopped: Pick<Freeze, 'scope' | 'by'>, now: Date): Held {
  if (held === null) throw new TrustError('refused', 'there is no held record to freeze')
  const frozen = addFreeze(held.frozen, stopped, now)
  return frozen === held.frozen ? held : { ...held, frozen }
}

/** Told once for each freeze, whichever process it was made in. */
function noticeOf(freeze: Freeze) {
  const { scope, by } = freeze
  const detail = { message: `signing is frozen: ${scope}`, by }
  return { kind: 'alarm' as const, event: 'frozen', subject: freezeText(freeze), detail }
}

/** A name that is written wrong would stop nothing. */
function requireKnown(scope: string, { keys, callers }: Pick<PolicySet, 'keys' | 'callers'>): void {
  const [kind, name = ''] = scope.split(' ')
  const known =
    (kind === 'key' && keys.some(({ id }) => id === name)) ||
    (kind === 'caller' && callers.some((caller) => caller.name === name))
  if (scope === 'all' || known) return
  throw new TrustError('refused', 'there is no such caller or key in force')
}
