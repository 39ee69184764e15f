import { setTimeout as delay } from 'node:timers/promises'
import { uncompressedPoint } from '../../plc/did-key.ts'
import type { Curve } from '../../plc/did-key.ts'
import type { PlaceState } from '../backend.ts'
import { SignerError } from '../signer.ts'
import { createJobs } from './jobs.ts'
import { delayAfterFault, delayAfterStall, restartDelay } from './limits.ts'
import { readLatch } from './pin-latch.ts'
import { DIGEST_BYTES } from './protocol.ts'
import type { KeySpec, KeyState } from './protocol.ts'
import { serve } from './serve.ts'
import type { ServeParts, Serving } from './serve.ts'
import type { Stop } from './stop.ts'
import type { KeyMatch } from './uri.ts'

export type TokenState = PlaceState

export type TokenOptions = Pick<
  ServeParts,
  'modulePath' | 'token' | 'pin' | 'latchDir' | 'environment' | 'limits'
> & { readonly onState: (state: TokenState) => void }

export type TokenClient = ReturnType<typeof createTokenClient>

const LATCH_POLL_MS = 500
/** An answer of the token is good for so long. */
const CHECKED_MS = 1_000

/**
 * One token and the child that holds its module: started, watched, killed, started again, for as
 * long as the client is open. Callers see only signatures and SignerErrors.
 */
export function createTokenClient(options: TokenOptions) {
  const { limits } = options
  const keys = new Map<number, KeySpec>()
  const keyStates = new Map<number, KeyState>()
  const closing = new AbortController()
  const settled = Promise.withResolvers<void>()
  let serving: Serving | null = null
  let state = stateOf('reconnecting', 'the token is being opened')
  let lastChecked = 0
  let lastRef = 0
  let lastSigned = 0
  let patience: NodeJS.Timeout | undefined
  const jobs = createJobs({
    maxQueued: limits.queued,
    onCancel: (id) => serving?.cancel(id),
    onQueued: () => serving?.pump(),
  })
  losePatience()
  const running = run()

  async function run(): Promise<void> {
    let failures = 0
    while (!closing.signal.aborted) {
      const stop = await serveOnce().catch(couldNotStart)
      if (closing.signal.aborted) break
      enter(stateAfter(stop))
      settled.resolve()
      // A child that worked for a while was no failure.
      failures = performance.now() - stop.readySince > limits.callMs ? 1 : failures + 1
      await beforeNext(stop, failures)
    }
    enter(stateOf('closed', 'closed', state.serial))
    settled.resolve()
  }

  async function serveOnce(): Promise<Stop & { readySince: number }> {
    let readySince = Number.POSITIVE_INFINITY
    serving = serve({
      ...options,
      jobs,
      keys: [...keys.values()],
      onFound: (serial) => {
        state = { ...state, serial }
      },
      onReady: () => {
        readySince = performance.now()
        lastChecked = readySince
        enter(stateOf('ready', 'ready', state.serial))
        settled.resolve()
      },
      onKeys: (states) => {
        for (const key of states) keyStates.set(key.ref, key)
      },
      onStop: (why) => {
        if (why.kind !== 'closed') enter(stateAfter(why))
      },
    })
    const idle = setInterval(checkIdle, limits.idleCheckMs)
    const stop = await serving.ended
    clearInterval(idle)
    serving = null
    return { ...stop, readySince }
  }

  /** A token that signs needs no asking. */
  function checkIdle(): void {
    const signed = jobs.signedCount()
    if (signed === lastSigned) void check().catch(() => {})
    lastSigned = signed
  }

  function stateAfter(why: Stop): TokenState {
    switch (why.kind) {
      case 'latched':
        return stateOf('latched', `${why.message}; ${REMEDY}`, why.latch.serial)
      case 'fault':
        return stateOf('unusable', why.message, state.serial)
      case 'stalled':
      case 'failed':
      case 'lost':
      case 'closed':
        return stateOf('reconnecting', why.message, state.serial)
    }
  }

  async function beforeNext(why: Stop, failures: number): Promise<void> {
    switch (why.kind) {
      case 'latched':
        return await untilUnlatched(why.latch.serial)
      case 'fault':
        return await pause(delayAfterFault(Math.random()))
      case 'stalled':
        return await pause(delayAfterStall(Math.random()))
      case 'failed':
      case 'lost':
      case 'closed':
        return await pause(restartDelay(failures, Math.random()))
    }
  }

  /** No process runs and no login is tried until a person has removed the latch. */
  async function untilUnlatched(serial: string): Promise<void> {
    while (!closing.signal.aborted && (await readLatch(options.latchDir, serial)) !== null) {
      await pause(LATCH_POLL_MS)
    }
    if (!closing.signal.aborted) enter(stateOf('reconnecting', 'unlatched', serial))
  }

  async function pause(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: closing.signal }).catch(() => {})
  }

  function enter(next: TokenState): void {
    const same = next.kind === state.kind
    state = same ? { ...next, since: state.since } : next
    if (next.kind === 'reconnecting') {
      if (!same) losePatience()
    } else clearTimeout(patience)
    const refusal = refusalNow()
    if (refusal !== null) jobs.rejectQueued(refusal)
    if (!same) options.onState(state)
  }

  function losePatience(): void {
    clearTimeout(patience)
    patience = setTimeout(() => {
      const refusal = refusalNow()
      if (refusal !== null) jobs.rejectQueued(refusal)
    }, limits.patienceMs + 1)
    patience.unref()
  }

  /** Why the token is not even asked; null while it can sign or will soon. */
  function refusalNow(): string | null {
    if (state.kind === 'ready') return null
    const age = Date.now() - state.since.getTime()
    if (state.kind === 'reconnecting' && age < limits.patienceMs) return null
    return textOf(state)
  }

  async function check(): Promise<void> {
    if (state.kind !== 'ready' || serving === null) {
      throw new SignerError('unavailable', textOf(state))
    }
    await serving.check()
    lastChecked = performance.now()
  }

  return {
    state: () => state,
    childPid: () => serving?.pid,
    /** Resolves when the first try has ended in one way or another, or is taking too long. */
    opened: async () => {
      const late = delay(limits.startMs, undefined, { ref: false })
      await Promise.race([settled.promise, late])
    },
    addKey: (key: { match: KeyMatch; curve: Curve; did: string }): number => {
      lastRef += 1
      const ref = lastRef
      const spec = { ref, match: key.match, curve: key.curve, point: uncompressedPoint(key.did) }
      keys.set(ref, spec)
      serving?.addKey(spec)
      return ref
    },
    removeKey: (ref: number) => keys.delete(ref) && keyStates.delete(ref),
    keyState: (ref: number) => keyStates.get(ref) ?? null,
    sign: async (ref: number, digest: Uint8Array, signal: AbortSignal): Promise<Uint8Array> => {
      if (digest.length !== DIGEST_BYTES) throw new TypeError('a digest has 32 bytes')
      const refusal = refusalNow()
      if (refusal !== null) throw new SignerError('unavailable', refusal)
      return await jobs.add(ref, digest, signal)
    },
    /** Looks for keys that came after the child had started. @throws SignerError */
    lookForKeys: check,
    /** Whether the token answers; asked at most once a second. @throws SignerError */
    check: async (): Promise<void> => {
      if (state.kind === 'ready' && performance.now() - lastChecked < CHECKED_MS) return
      try {
        await check()
      } catch (error) {
        if (error instanceof SignerError) throw error
        throw new SignerError('unavailable', textOf(state), { cause: error })
      }
    },
    close: async (): Promise<void> => {
      closing.abort()
      jobs.rejectQueued('the service is stopping')
      serving?.close()
      await running
      jobs.rejectQueued('the service is stopping')
    },
  }
}

/** No process could be made, for want of memory or file descriptors. */
function couldNotStart(error: unknown): Stop & { readySince: number } {
  const message = `the child process could not be started: ${String(error)}`
  return { kind: 'lost', message, readySince: Number.POSITIVE_INFINITY }
}

const REMEDY = 'no login until a person has looked and run: holdfast keys unlatch'

function stateOf(
  kind: TokenState['kind'],
  message: string,
  serial: string | null = null,
): TokenState {
  return { kind, since: new Date(), message, serial }
}

function textOf({ kind, since, message }: TokenState): string {
  return `${kind} since ${since.toISOString()}: ${message}`
}
