import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client'

/** What waits in the database, read when somebody scrapes. */
export type Backlog = {
  /** Requests by state, of those that wait for somebody. */
  readonly waiting: ReadonlyMap<string, number>
  readonly identities: number
  /** How long the oldest submission has not been seen in the directory's log; null: there is none. */
  readonly oldestUnconfirmedSeconds: number | null
}

export type Metrics = ReturnType<typeof createMetrics>

/** From 0.1 ms, a decode, to 10 s, the deadline of a submission. */
const SECONDS = [
  0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
]
/** Scrapers that ask more often see the same numbers. */
const BACKLOG_SHARED_MS = 15_000
/** Anybody may ask, and writing the text is the most work of all that is open to everyone. */
const TEXT_SHARED_MS = 1_000
const BACKLOG_DEADLINE_MS = 2_000
/** Rule ids come from our code and from policy files; whatever came above this is one label. */
const MAX_RULES = 100

/**
 * Everything that is measured. `/metrics` is open to everyone, so no label ever holds a DID, a caller,
 * a key or anything else that somebody outside wrote; each has few values.
 */
export function createMetrics(options: { readonly processMetrics: boolean }) {
  const registry = new Registry()
  if (options.processMetrics) collectDefaultMetrics({ register: registry })
  const counter = (name: string, help: string, labelNames: string[] = []) =>
    new Counter({ name: `holdfast_${name}`, help, labelNames, registers: [registry] })
  const gauge = (name: string, help: string, labelNames: string[] = []) =>
    new Gauge({ name: `holdfast_${name}`, help, labelNames, registers: [registry] })
  const histogram = (name: string, help: string, labelNames: string[]) =>
    new Histogram({
      name: `holdfast_${name}_seconds`,
      help,
      labelNames,
      buckets: SECONDS,
      registers: [registry],
    })
  return {
    registry,
    rule: boundedLabel(MAX_RULES),
    http: histogram('http', 'Answers of the doors', ['route', 'method', 'status']),
    action: histogram('action', 'What callers asked for, from its decoding to its outcome', [
      'action',
      'outcome',
    ]),
    step: histogram('step', 'One step of an action', ['step', 'outcome']),
    key: histogram('key', 'Uses of keys', ['backend', 'outcome']),
    denied: counter('denied_total', "Policy's no, by the first rule that said so", [
      'action',
      'rule',
    ]),
    refused: counter('refused_total', "The directory's no to a submission", ['status']),
    failed: counter('failed_total', 'Our own failures', ['action']),
    unknown: counter('unknown_total', 'No definite answer: of a key, or to a submission', ['of']),
    busy: counter('busy_total', 'Callers that were told to ask again', ['action']),
    events: counter('events_total', 'What operators are told as it happens', ['event']),
    places: gauge('key_places', 'Tokens and other places of keys, by how they are', [
      'backend',
      'state',
    ]),
    directorySuccess: gauge(
      'directory_last_success_timestamp_seconds',
      'When the PLC directory last gave a usable answer',
    ),
    waiting: gauge('waiting_requests', 'Requests that wait for somebody', ['state']),
    identities: gauge('identities', 'Identities in care'),
    unconfirmed: gauge(
      'oldest_unconfirmed_submission_seconds',
      'How long the directory has not shown what was submitted to it; 0: it showed everything',
    ),
  }
}

/** Prometheus text. What the database does not tell in time is left out; the rest is still true. */
export function createRender(
  metrics: Metrics,
  readBacklog: () => Promise<Backlog>,
  now: () => number,
): () => Promise<string> {
  let readAt = -Infinity
  const render = async (): Promise<string> => {
    if (isPast(readAt, BACKLOG_SHARED_MS, now())) {
      readAt = now()
      showBacklog(metrics, await inTime(readBacklog()))
    }
    return await metrics.registry.metrics()
  }
  let shown = { at: -Infinity, text: Promise.resolve('') }
  return async () => {
    if (isPast(shown.at, TEXT_SHARED_MS, now())) shown = { at: now(), text: render() }
    return await shown.text
  }
}

/** A clock that was set back must not keep old numbers alive. */
function isPast(at: number, forMs: number, now: number): boolean {
  return Math.abs(now - at) >= forMs
}

function showBacklog(metrics: Metrics, backlog: Backlog | null): void {
  metrics.waiting.reset()
  if (backlog === null) {
    metrics.identities.set(Number.NaN)
    metrics.unconfirmed.set(Number.NaN)
    return
  }
  for (const [state, count] of backlog.waiting) metrics.waiting.set({ state }, count)
  metrics.identities.set(backlog.identities)
  metrics.unconfirmed.set(backlog.oldestUnconfirmedSeconds ?? 0)
}

async function inTime<T>(reading: Promise<T>): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), BACKLOG_DEADLINE_MS)
  })
  const answer = await Promise.race([reading.catch(() => null), late])
  clearTimeout(timer)
  return answer
}

/** Each distinct text is a time series for ever: the first `limit` are told apart. */
function boundedLabel(limit: number): (text: string) => string {
  const known = new Set<string>()
  return (text) => {
    if (known.size < limit) known.add(text)
    return known.has(text) ? text : 'other'
  }
}
