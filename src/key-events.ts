import type { AuditEntry } from './audit/entry.ts'
import type { Logger } from './logger.ts'
import type { Metrics } from './metrics.ts'
import type { KeyConfig } from './policy/policy-set.ts'
import type { PlaceHealth, PlaceState } from './signer/backend.ts'
import type { TakeOver } from './signer/homes.ts'
import { SignerError } from './signer/signer.ts'

type KeyEntry = Extract<AuditEntry, { kind: `key.${string}` }>
type WriteEntry = (entry: KeyEntry) => Promise<void>

/** What happens to keys by itself is told as it happens: a log line, a count, an audit entry. */
export type KeyEvents = {
  readonly onPlaceState: (place: string, state: PlaceState) => void
  readonly onTakeOver: (key: KeyConfig, change: TakeOver) => void
  /** How the places are, for the gauge. */
  readonly watch: (health: () => readonly (PlaceHealth & { readonly backend: string })[]) => void
  /** The record is there now: what waits for it is written, and from now on all that comes. */
  readonly recordTo: (write: WriteEntry) => void
  /** Writes what still waits, if it can. */
  readonly close: () => Promise<void>
}

const RETRY_MS = 5_000
const MAX_WAITING = 256

export function createKeyEvents({ log, metrics }: { log: Logger; metrics: Metrics }): KeyEvents {
  const record = createRecorder(log)
  let showPlaces = () => {}

  return {
    onPlaceState: (place, state) => {
      showPlaces()
      if (state.kind === 'closed') return
      const event = EVENTS[state.kind]
      metrics.events.inc({ event })
      logPlace(log, place, state, event)
      if (state.kind === 'latched') {
        const { serial, message: reason } = state
        record.add({ kind: 'key.latched', serial: serial ?? '', reason })
      }
    },
    onTakeOver: (key, change) => {
      const event = change.isBack ? 'key-handed-back' : 'key-taken-over'
      metrics.events.inc({ event })
      logTakeOver(log, key, change, event)
      record.add(entryOf(key, change))
    },
    watch: (health) => {
      showPlaces = () => {
        metrics.places.reset()
        for (const { backend, state } of health())
          metrics.places.inc({ backend, state: state.kind })
      }
      showPlaces()
    },
    recordTo: record.to,
    close: record.close,
  }
}

const EVENTS = {
  ready: 'key-place-ready',
  reconnecting: 'key-place-away',
  latched: 'key-place-latched',
  unusable: 'key-place-unusable',
} as const satisfies Record<Exclude<PlaceState['kind'], 'closed'>, string>

function logPlace(log: Logger, place: string, state: PlaceState, event: string): void {
  const { kind, serial, message } = state
  const facts = { event, place, serial, state: kind }
  switch (kind) {
    case 'latched':
    case 'unusable':
      return log.error({ ...facts, alarm: true }, `${place}: ${message}`)
    case 'reconnecting':
      return log.warn(facts, `${place} is away: ${message}`)
    case 'ready':
    case 'closed':
      return log.info(facts, `${place} is ${kind}`)
  }
}

function logTakeOver(log: Logger, key: KeyConfig, change: TakeOver, event: string): void {
  const { from, to, error, isBack } = change
  const facts = { event, key: key.id, from, to }
  if (isBack) return log.info(facts, `key ${key.id} is signed for by its first home again`)
  log.error({ ...facts, alarm: true, err: error }, `key ${key.id}: ${to} signs in place of ${from}`)
}

function entryOf({ id, did }: KeyConfig, { from, to, error, isBack }: TakeOver): KeyEntry {
  const fault = error instanceof SignerError ? error.code : 'unexpected'
  const reason = isBack ? 'well again' : fault
  return { kind: 'key.taken-over', key: id, keyDid: did, from, to, reason }
}

/** Entries in their order, each tried until it is written; the deeds they tell of have happened. */
function createRecorder(log: Logger) {
  const waiting: KeyEntry[] = []
  let write: WriteEntry | null = null
  let writing: Promise<void> | null = null
  let retry: NodeJS.Timeout | undefined

  async function writeAll(put: WriteEntry): Promise<void> {
    for (let [entry] = waiting; entry !== undefined; [entry] = waiting) {
      await put(entry)
      waiting.shift()
    }
  }

  async function flush(): Promise<void> {
    if (write === null || waiting.length === 0) return
    clearTimeout(retry)
    writing ??= writeAll(write)
      .catch((error: unknown) => {
        log.warn({ err: error }, 'what happened to a key is not on record yet; it is tried again')
        retry = setTimeout(() => void flush(), RETRY_MS).unref()
      })
      .finally(() => {
        writing = null
      })
    await writing
  }

  return {
    add: (entry: KeyEntry) => {
      if (waiting.length < MAX_WAITING) waiting.push(entry)
      else log.error({ alarm: true, entry }, 'too much waits for the record; this is only here')
      void flush()
    },
    to: (put: WriteEntry) => {
      write = put
      void flush()
    },
    close: async () => {
      await flush()
      clearTimeout(retry)
    },
  }
}
