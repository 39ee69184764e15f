import { signCheckpoint } from '../audit/checkpoint.ts'
import type { CheckpointSigner } from '../audit/checkpoint.ts'
import { rootOf } from '../audit/merkle.ts'
import type { CompactRange } from '../audit/merkle.ts'
import { formatVkey } from '../audit/note.ts'
import { createGate } from './gate.ts'
import type { SigningGate } from './gate.ts'
import { HeldError, isSameHeld } from './held.ts'
import type { Held, HeldStore } from './held.ts'
import { LogBroken } from './log-broken.ts'
import type { AuditLogStore, Sequencing } from './ports.ts'
import type { RightEdge } from './right-edge.ts'
import { firstEntry, loadEdge, sequenceOnce } from './sequence.ts'
import { checkRoot, isSame, loadVerifiedLog } from './verified-log.ts'
import type { VerifiedLog } from './verified-log.ts'

/** What changes when somebody touches the log's tables otherwise than by appending. */
export type Traces = {
  readonly catalog: string
  readonly changes: number
  readonly sequence: bigint
}

export type LogEvent =
  | { readonly kind: 'signing-stopped'; readonly cause: string; readonly error: unknown }
  | { readonly kind: 'signing-resumed' }
  | { readonly kind: 'elected'; readonly epoch: number }
  | { readonly kind: 'term-over'; readonly error: unknown }

export type LogServiceDeps = {
  readonly store: AuditLogStore
  readonly held: HeldStore
  /** null: there is no checkpoint key. */
  readonly signerFor: (origin: string) => CheckpointSigner | null
  /** The held record of a log that begins; null: none is made implicitly (`env: prod`). */
  readonly firstHeld: (() => Held) | null
  /** What is off in the database; none: it is as it must be. */
  readonly selfTest: () => Promise<string[]>
  readonly traces: () => Promise<Traces>
  readonly report: (event: LogEvent) => void
  /** Milliseconds, of a clock that is never set. */
  readonly now: () => number
}

export type LogService = {
  readonly gate: SigningGate
  /** Looks at the log once; sequences and signs nothing unless this instance is elected. */
  look(): Promise<void>
  /** From now on each look must come in time. */
  expectLooks(): void
  /** Appends what waits, if this instance is elected or can be. @returns how many */
  sequence(): Promise<number>
  resign(): Promise<void>
}

const SELF_TEST_EVERY_MS = 60_000
/** Tiles of 256 entries that each look checks again; all of them as fast as it goes under suspicion. */
const SCRUB_TILES = 4
const SUSPICIOUS_TILES = 256
/** An instance that dies is followed by another one within this and the work itself. */
const ELECT_EVERY_MS = 200
/** Many times what the longest look takes. */
const LOOK_WITHIN_MS = 15_000

/** The log as one instance sees it: sequencer and checkpointer when it is elected, watchman always. */
export function createLogService(deps: LogServiceDeps): LogService {
  const gate = createGate()
  let log: VerifiedLog | null = null
  let last: Held | null = null
  let term: { sequencing: Sequencing; state: { edge: RightEdge } } | null = null
  let underWay: Promise<number> | null = null
  let nextElection = -Infinity
  let tested = -Infinity
  let traces: Traces | null = null
  /** Somebody has touched the tables: the whole log is checked before anything is signed again. */
  let suspicion: string | null = null

  async function look(): Promise<void> {
    const before = gate.cause()
    try {
      await lookOnce()
      gate.open()
      if (before !== null) deps.report({ kind: 'signing-resumed' })
    } catch (error) {
      const cause = causeOf(error)
      gate.close(cause)
      if (cause !== before) deps.report({ kind: 'signing-stopped', cause, error })
    }
  }

  async function lookOnce(): Promise<void> {
    await testDatabase()
    const held = await readHeld()
    const signer = deps.signerFor(held.origin)
    if (signer === null) throw new LogBroken('there is no checkpoint key')
    // A swap that failed may have left us ahead on a log that nobody checkpointed.
    if (log !== null && log.size() > held.size) log = null
    const { range } = await deps.store.head()
    if (range.size < held.size) throw behind(range.size, held.size)
    log ??= await loadVerifiedLog(deps.store, held)
    if (held.size > log.size()) {
      await log.extendTo(held.size)
      checkRoot(log, held)
    }
    if (term !== null) last = await checkpoint(held, signer, range)
    else last = held
    await scrub()
  }

  /** The order: prove, swap, sign, publish. What dies in between is found by the next look. */
  async function checkpoint(
    held: Held,
    signer: CheckpointSigner,
    range: CompactRange,
  ): Promise<Held> {
    const { size } = range
    if (log === null) throw new TypeError('a log is loaded before it is checkpointed')
    await log.extendTo(size)
    const root = log.root()
    if (!isSame(root, rootOf(range)))
      throw new LogBroken(`the tree in the database is not that of its ${size} entries`)
    const swapped = size > held.size ? await swap(held, { size, root }) : held
    if (size === 0) return swapped
    // Ed25519 is deterministic: the same checkpoint is the same note.
    const note = signCheckpoint({ origin: held.origin, size, root }, signer)
    if ((await deps.store.checkpoint())?.note !== note) await deps.store.publish({ size, note })
    return swapped
  }

  /** What is in force may have been changed meanwhile, by another process: that is no rival's checkpoint. */
  async function swap(held: Held, grown: Pick<Held, 'size' | 'root'>): Promise<Held> {
    try {
      return await deps.held.replace(held, { ...held, ...grown })
    } catch (error) {
      const now = await deps.held.read()
      if (now === null || !isSameHeld({ ...now, trust: held.trust, frozen: held.frozen }, held)) {
        throw error
      }
      return await deps.held.replace(now, { ...now, ...grown })
    }
  }

  async function readHeld(): Promise<Held> {
    const held = (await deps.held.read()) ?? (await makeHeld())
    const changed = last !== null && (held.storeId !== last.storeId || held.origin !== last.origin)
    if (changed) {
      // A fork, by its own command: the log is another one, and known by nothing yet.
      log = null
      last = null
    }
    if (last !== null && held.size < last.size)
      throw new LogBroken(`the held record went back from ${last.size} to ${held.size} entries`)
    return held
  }

  async function makeHeld(): Promise<Held> {
    if (last !== null) throw new LogBroken('the held record is gone')
    if (!(await deps.store.isEmpty()))
      throw new LogBroken('there is no held record, and the log in the database is not empty')
    if (deps.firstHeld === null)
      throw new LogBroken('there is no held record; run "scripts/holdfast trust init"')
    try {
      return await deps.held.create(deps.firstHeld())
    } catch (error) {
      const others = error instanceof HeldError ? await deps.held.read() : null
      if (others === null) throw error
      return others
    }
  }

  async function testDatabase(): Promise<void> {
    if (deps.now() - tested >= SELF_TEST_EVERY_MS || gate.cause() !== null) {
      const findings = await deps.selfTest()
      if (findings.length > 0) throw new LogBroken(`database self-test: ${findings.join('; ')}`)
      tested = deps.now()
    }
    const found = await deps.traces()
    const touched = traces !== null && touch(traces, found)
    traces = found
    if (typeof touched !== 'string') return
    suspicion = touched
    tested = -Infinity
    throw new LogBroken(`${touched}; the whole log is checked again`)
  }

  async function scrub(): Promise<void> {
    const whole = await log?.scrub(suspicion === null ? SCRUB_TILES : SUSPICIOUS_TILES)
    if (suspicion === null) return
    if (whole !== true) throw new LogBroken(`${suspicion}; the whole log is checked again`)
    suspicion = null
  }

  /** One at a time: whoever asks meanwhile is told of the run under way. */
  function sequence(): Promise<number> {
    underWay ??= sequenceInTerm().finally(() => (underWay = null))
    return underWay
  }

  async function sequenceInTerm(): Promise<number> {
    if (gate.cause() !== null || last === null) return 0
    const { origin } = last
    const signer = deps.signerFor(origin)
    if (signer === null) return 0
    const held = last
    try {
      if (term === null && deps.now() < nextElection) return 0
      term ??= await beginTerm()
      nextElection = deps.now() + ELECT_EVERY_MS
      if (term === null) return 0
      const vkey = formatVkey(signer.key)
      return await sequenceOnce(term.sequencing, term.state, (now) => firstEntry(held, vkey, now))
    } catch (error) {
      await resign()
      deps.report({ kind: 'term-over', error })
      return 0
    }
  }

  async function beginTerm() {
    const sequencing = await deps.store.elect()
    if (sequencing === null) return null
    deps.report({ kind: 'elected', epoch: sequencing.head.epoch })
    return { sequencing, state: { edge: await loadEdge(deps.store, sequencing.head) } }
  }

  async function resign(): Promise<void> {
    const ended = term
    term = null
    nextElection = -Infinity
    await ended?.sequencing.resign()
  }

  return {
    gate,
    look,
    expectLooks: () => gate.expectLooks(LOOK_WITHIN_MS, deps.now),
    sequence,
    resign,
  }
}

function behind(size: number, held: number): LogBroken {
  return new LogBroken(
    `the database is behind the held record: it has ${size} entries, and ${held} were checkpointed ` +
      '(a restored backup, or a replica that lagged)',
  )
}

function touch(before: Traces, after: Traces): string | null {
  if (before.catalog !== after.catalog)
    return "the log's tables or their triggers were touched in the database"
  if (before.changes !== after.changes) return 'entries were changed or deleted in the database'
  if (after.sequence < before.sequence) return "the outbox's sequence was rewound"
  return null
}

/** Shown to anybody: what comes from drivers stays in the log. */
function causeOf(error: unknown): string {
  if (error instanceof LogBroken) return error.message
  if (error instanceof RangeError) return 'the head of the log in the database is no head of a log'
  if (error instanceof HeldError)
    return error.code === 'conflict'
      ? 'another process has changed the held record'
      : 'the held record cannot be read'
  return 'the audit log cannot be read'
}
