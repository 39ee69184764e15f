import { setTimeout as delay } from 'node:timers/promises'
import { startChild } from './child-link.ts'
import type { Jobs } from './jobs.ts'
import type { Pkcs11Limits } from './limits.ts'
import { LatchedError, latchFailure, loginOnce } from './login.ts'
import type { PinSource } from './pin-file.ts'
import { describeLatch } from './pin-latch.ts'
import type { Latch } from './pin-latch.ts'
import type { Failure, FromChild, KeySpec, KeyState, PinState } from './protocol.ts'
import type { TokenMatch } from './uri.ts'
import { SignerError } from '../signer.ts'

/** Why a child is no longer used. */
export type Stop =
  | { readonly kind: 'latched'; readonly latch: Latch; readonly message: string }
  /** Will not change before a person changes it. */
  | { readonly kind: 'fault'; readonly message: string }
  | { readonly kind: 'stalled' | 'failed' | 'lost' | 'closed'; readonly message: string }

export type ServeParts = {
  readonly modulePath: string
  readonly token: TokenMatch
  readonly pin: PinSource
  readonly latchDir: string
  readonly environment: NodeJS.ProcessEnv
  readonly limits: Pkcs11Limits
  readonly jobs: Jobs
  readonly keys: readonly KeySpec[]
  readonly onFound: (serial: string) => void
  readonly onReady: (sessions: number) => void
  readonly onKeys: (states: readonly KeyState[]) => void
}

/** One child at work. */
export type Serving = {
  readonly pid: number | undefined
  /** Resolves when the child is dead and its jobs are answered or queued again. Never rejects. */
  readonly ended: Promise<Stop>
  /** Sends what is queued, together with what else is queued in this turn. */
  readonly pump: () => void
  readonly cancel: (id: number) => void
  readonly addKey: (key: KeySpec) => void
  /** Asks the token. @throws Error when it does not say that it can sign */
  readonly check: () => Promise<void>
  readonly close: () => void
}

type Answer = 'found' | 'login-answer' | 'ready' | 'checked'
type AnswerOf<K extends Answer> = Extract<FromChild, { kind: K }>
type Owed = {
  readonly answer: PromiseWithResolvers<FromChild>
  readonly since: number
  readonly limit: number
}

const CHILD = new URL('child.ts', import.meta.url)
const WATCH_MS = 50
// Signatures that the child has at hand for each session, so that none idles for the pipe's sake.
const AHEAD = 4
// What has begun when the token fails may still end well.
const AFTERMATH_MS = 250

/** Starts a child, logs in and signs what is queued, until something ends it. */
export function serve(parts: ServeParts): Serving {
  const { limits, jobs } = parts
  const stopped = Promise.withResolvers<Stop>()
  /** What the child owes us besides signatures. */
  const owed = new Map<Answer, Owed>()
  /** What it said before we asked: it goes on while we write the latch. */
  const early = new Map<Answer, FromChild>()
  let stoppedBy: Stop | null = null
  let lastHeard = performance.now()
  let lastLogin = performance.now()
  let serial = ''
  let sessions = 0
  let pumping = false
  let checking: Promise<void> | null = null
  let relogin: Promise<void> = Promise.resolve()

  const link = startChild({
    program: CHILD,
    // Each session needs a thread for its signature.
    environment: { ...parts.environment, UV_THREADPOOL_SIZE: `${Math.max(4, limits.sessions)}` },
    receive,
    garbled: () => stop({ kind: 'lost', message: 'the child said what it cannot say' }),
  })
  void link.gone.then(() => stop({ kind: 'lost', message: 'the child process died' }))
  const watch = setInterval(() => void lookForStall(), WATCH_MS)
  const started = start()

  function stop(why: Stop): void {
    if (stoppedBy !== null) return
    stoppedBy = why
    stopped.resolve(why)
    for (const { answer } of owed.values()) answer.reject(new StoppedError(why))
  }

  async function start(): Promise<void> {
    try {
      const { modulePath, token, keys } = parts
      link.send({ kind: 'open', modulePath, token, sessions: limits.sessions, keys })
      const found = await answer('found', limits.startMs)
      serial = found.serial
      parts.onFound(serial)
      if (found.needsLogin) await logIn(found.pin)
      const ready = await answer('ready', limits.startMs)
      sessions = ready.sessions
      parts.onReady(sessions)
      pump()
    } catch (error) {
      stop(stopOf(error))
    }
  }

  async function logIn(pinState: PinState): Promise<void> {
    await loginOnce({
      latchDir: parts.latchDir,
      serial,
      pinState,
      pin: parts.pin,
      loginMs: limits.loginMs,
      tryPin: async (pin) => {
        link.send({ kind: 'login', pin })
        const { failure } = await answer('login-answer', limits.loginMs)
        lastLogin = performance.now()
        return failure
      },
    })
  }

  /** What the child says next of this kind. Rejects when it stops instead. */
  async function answer<K extends Answer>(kind: K, limit: number): Promise<AnswerOf<K>> {
    if (stoppedBy !== null) throw new StoppedError(stoppedBy)
    const known = early.get(kind)
    if (early.delete(kind)) return known as AnswerOf<K>
    const answer = Promise.withResolvers<FromChild>()
    owed.set(kind, { answer, since: performance.now(), limit })
    try {
      return (await answer.promise) as AnswerOf<K>
    } finally {
      owed.delete(kind)
    }
  }

  function receive(message: FromChild): void {
    lastHeard = performance.now()
    switch (message.kind) {
      case 'found':
      case 'login-answer':
      case 'ready':
      case 'checked':
        if (owed.has(message.kind)) owed.get(message.kind)?.answer.resolve(message)
        else early.set(message.kind, message)
        return
      case 'login-needed':
        relogin = logIn(message.pin).catch((error: unknown) => stop(stopOf(error)))
        return
      case 'keys':
        return parts.onKeys(message.states)
      case 'progress':
        jobs.begin(message.begun)
        for (const done of message.done) jobs.finish(done)
        return pump()
      case 'failed':
        return void fail(message.failure)
    }
  }

  async function fail(failure: Failure): Promise<void> {
    const { kind, message } = failure
    if (kind !== 'latch') {
      return stop({ kind: kind === 'configuration' ? 'fault' : 'failed', message })
    }
    try {
      const latch = await latchFailure(parts.latchDir, serial, failure)
      stop({ kind: 'latched', latch, message: describeLatch(latch) })
    } catch (error) {
      stop(stopOf(error))
    }
  }

  function pump(): void {
    if (pumping) return
    pumping = true
    // A turn later: what many callers queue now goes in one message.
    setImmediate(() => {
      pumping = false
      const room = sessions * AHEAD - jobs.outCount()
      const items = room > 0 ? jobs.takeToSend(room) : []
      if (items.length > 0) link.send({ kind: 'sign', items })
    })
  }

  async function lookForStall(): Promise<void> {
    if (stalledAt() === null) return
    // We may have been the one who slept: hear first what is in the pipe already.
    await delay(WATCH_MS / 2)
    const what = stalledAt()
    if (what !== null) stop({ kind: 'stalled', message: `the token did not answer (${what})` })
  }

  /** A login is not hurried: what waits for it, waits. */
  function stalledAt(): string | null {
    const now = performance.now()
    const login = owed.get('login-answer')
    if (login !== undefined) return now - login.since > login.limit ? 'C_Login' : null
    for (const [what, { since, limit }] of owed) {
      if (now - Math.max(since, lastLogin) > limit) return what
    }
    const since = jobs.owedSince(lastHeard)
    return since !== null && now - Math.max(since, lastLogin) > limits.callMs ? 'sign' : null
  }

  async function check(): Promise<void> {
    checking ??= (async () => {
      try {
        link.send({ kind: 'check' })
        sessions = (await answer('checked', limits.callMs)).sessions
      } finally {
        checking = null
      }
    })()
    await checking
  }

  async function end(): Promise<Stop> {
    const why = await stopped.promise
    sessions = 0
    if (why.kind === 'failed') await until(() => jobs.begunCount() === 0, AFTERMATH_MS)
    if (why.kind === 'closed') {
      await until(() => jobs.outCount() === 0, limits.closeMs)
      link.send({ kind: 'close' })
      await Promise.race([link.gone, delay(limits.closeMs, undefined, { ref: false })])
    }
    clearInterval(watch)
    link.kill()
    await link.gone
    jobs.loseChild(why.message)
    // A login that was cut off writes down that it was.
    await Promise.all([started, relogin])
    return why
  }

  return {
    pid: link.pid,
    ended: end(),
    pump: () => {
      if (sessions > 0) pump()
    },
    cancel: (id) => link.send({ kind: 'cancel', ids: [id] }),
    addKey: (key) => link.send({ kind: 'keys', keys: [key] }),
    check,
    close: () => stop({ kind: 'closed', message: 'the service is stopping' }),
  }
}

async function until(isSo: () => boolean, within: number): Promise<void> {
  const deadline = performance.now() + within
  while (!isSo() && performance.now() < deadline) await delay(5)
}

/** Carries the reason to whoever waits for the child. */
class StoppedError extends Error {
  override readonly name = 'StoppedError'
  readonly stop: Stop

  constructor(stop: Stop) {
    super(stop.message)
    this.stop = stop
  }
}

function stopOf(error: unknown): Stop {
  if (error instanceof StoppedError) return error.stop
  if (error instanceof LatchedError) {
    return { kind: 'latched', latch: error.latch, message: error.message }
  }
  if (error instanceof SignerError) return { kind: 'fault', message: error.message }
  // The latch cannot be written, for one: then the PIN is not tried.
  return { kind: 'failed', message: `cannot log in: ${String(error)}` }
}
