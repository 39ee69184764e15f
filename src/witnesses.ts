import { setTimeout as sleep } from 'node:timers/promises'
import type { VerifiedCheckpoint } from './audit/checkpoint.ts'
import { parseVkey } from './audit/note.ts'
import { verifyEd25519 } from './ed25519/openssl.ts'
import type { Logger } from './logger.ts'
import type { AuditLog } from './open-log.ts'
import type { PolicySet } from './policy/policy-set.ts'
import { isCosigned } from './sequencer/cosigned-intent.ts'
import type { NamedIntent } from './sequencer/cosigned-intent.ts'
import { createWitnessing } from './sequencer/witnessing.ts'
import type { WitnessEvent, Witnessing } from './sequencer/witnessing.ts'
import { createCosignedStore } from './store/cosigned.ts'
import type { Database } from './store/database.ts'
import { askWitnessOverHttp } from './witness/ask.ts'

export type Witnesses = Pick<Witnessing, 'look'> & {
  /** Waits for it; false: it is not, and nobody can wait any longer. */
  readonly isCosigned: (intent: NamedIntent) => Promise<boolean>
  /** The newest cosigned checkpoint, as the note that anyone can verify; null: there is none. */
  readonly newest: () => Promise<{ readonly size: number; readonly note: string } | null>
  /** For `readyz`: without names. null: nothing is wrong. */
  readonly warning: () => string | null
}

/** A claim's lease is ten seconds, and the key may take five of them. */
const WAIT_MS = 3_000
const LATE_MS = 600_000

/** Where no witness is named, nothing is cosigned, and what asks for it is not signed. */
const nobody: Witnesses = {
  look: async () => {},
  isCosigned: async () => false,
  newest: async () => null,
  warning: () => null,
}

export function openWitnesses(parts: {
  readonly policies: Pick<PolicySet, 'witnesses'>
  readonly auditLog: AuditLog
  readonly db: Database
  readonly log: Logger
  /** Milliseconds, of a clock that is never set. */
  readonly now: () => number
}): Witnesses {
  const { policies, auditLog, db, log, now } = parts
  const config = policies.witnesses
  if (config === undefined) return nobody
  const store = createCosignedStore(db)
  const witnessing = createWitnessing({
    witnesses: config.of.map(({ url, key }) => ({ url, key: parseVkey(key) })),
    quorum: config.quorum,
    log: auditLog.store,
    store,
    logKey: async () => {
      const held = await auditLog.held.read()
      return held === null ? null : (auditLog.signerFor(held.origin)?.key ?? null)
    },
    ask: askWitnessOverHttp,
    verify: verifyEd25519,
    report: reportTo(log),
  })
  const age = lateness(auditLog, witnessing, now)
  return {
    look: async () => {
      await witnessing.look()
      await age.look()
    },
    isCosigned: async (intent) =>
      await isCosigned(intent, {
        log: auditLog.store,
        witnessing,
        wait: sleep,
        signal: AbortSignal.timeout(WAIT_MS),
      }),
    newest: async () => {
      const verified: VerifiedCheckpoint | null = await witnessing.newest()
      return verified === null ? null : await store.newest()
    },
    warning: () =>
      age.isLate()
        ? 'no quorum of witnesses has cosigned a checkpoint of the last ten minutes; what asks for it is not signed'
        : null,
  }
}

/** How long the newest checkpoint has been without its quorum. */
function lateness(auditLog: AuditLog, witnessing: Witnessing, now: () => number) {
  let since: number | null = null
  return {
    async look(): Promise<void> {
      const published = (await auditLog.store.checkpoint())?.size ?? 0
      const cosigned = (await witnessing.newest())?.size ?? 0
      since = cosigned >= published ? null : (since ?? now())
    },
    isLate: () => since !== null && now() - since > LATE_MS,
  }
}

function reportTo(log: Logger): (event: WitnessEvent) => void {
  return (event) => {
    const place = event.witness
    switch (event.kind) {
      case 'witness-inconsistent':
        return log.error(
          { alarm: true, event: event.kind, place },
          'a witness has cosigned another history of this log: somebody signs checkpoints with its key, or its entries were changed',
        )
      case 'witness-silent':
        return log.warn(
          { event: event.kind, place, why: event.why },
          `a witness does not cosign: ${event.why}`,
        )
      case 'witness-back':
        return log.info({ event: event.kind, place }, 'a witness cosigns again')
    }
  }
}
