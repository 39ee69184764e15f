import { setTimeout as delay } from 'node:timers/promises'
import { startChild } from './child-link.ts'
import { parseFromChild } from './child-message.ts'
import { createExchange } from './exchange.ts'
import type { Jobs } from './jobs.ts'
import type { Pkcs11Limits } from './limits.ts'
import { NotTriedError, failureOfLogin, latchFailure, loginOnce } from './login.ts'
import type { PinSource } from './pin-file.ts'
import { describeLatch } from './pin-latch.ts'
import type { Failure, FromChild, KeySpec, KeyState, PinState, ToChild } from './protocol.ts'
import { StoppedError, stopOf } from './stop.ts'
import type { Stop } from './stop.ts'
import type { TokenMatch } from './uri.ts'

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
  readonly onReady: () => void
  readonly onKeys: (states: readonly KeyState[]) => void
  /** At once, while `ended` waits until the child is dead. */
  readonly onStop: (why: Stop) => void
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

type Answer = Extract<FromChild, { kind: 'found' | 'login-answer' | 'ready' | 'checked' }>

const CHILD = new URL('child.ts', import.meta.url)
const WATCH_MS = 50
// Signatures that the child has at hand for each session, so that none idles for the pipe's sake.
const AHEAD = 4
// What has begun when the token fails may still end well.
const AFTERMATH_MS = 250

/** Starts a child, logs in and signs what is queued, until something ends it. */
export function serve(parts: ServeParts): Serving {
  const { limits, jobs } = parts
  const exchange = createExchange<Answer>()
  const stopped = Promise.withResolvers<Stop>()
  let stoppedBy: Stop | null = null as Stop | null
  let isGone = false
  let lastHeard = performance.now()
  let lastLogin = lastHeard
  let serial = ''
  let sessions = 0
  let pumping = false
  let checking: Promise<void> | null = null
  let relogin: Promise<void> = Promise.resolve()

  const link = startChild<FromChild, ToChild>({
    program: CHILD,
    // Each session needs a thread for its signature.
    environment: { ...parts.environment, UV_THREADPOOL_SIZE: `${Math.max(4, limits.sessions)}` },
    parse: parseFromChild,
    receive,
    garbled: () => stop({ kind: 'lost', message: 'the child said what it cannot say' }),
  })
  const gone = untilGone()
  const watch = setInterval(() => void lookForStall(), WATCH_MS)
  const started = start()

  function stop(why: Stop): void {
    if (stoppedBy !== null) {
      // The child died, and with it a login: that it is latched now is what there is to say.
      if (why.kind === 'latched' && stoppedBy.kind !== 'closed') stoppedBy = why
      return
    }
    stoppedBy = why
    sessions = 0
    parts.onStop(why)
    // A login that is cut off counts as a wrong PIN: whatever else happened, its answer is awaited.
    exchange.end(new StoppedError(why), 'login-answer')
    stopped.resolve(why)
  }

  async function untilGone(): Promise<void> {
    await link.gone
    isGone = true
    stop({ kind: 'lost', message: 'the child process died' })
  }

  async function start(): Promise<void> {
    try {
      const { modulePath, token, keys } = parts
      link.send({ kind: 'open', modulePath, token, sessions: limits.sessions, keys })
      const found = await exchange.next('found', limits.startMs)
      serial = found.serial
      parts.onFound(serial)
      if (found.needsLogin) await logIn(found.pin)
      sessions = (await exchange.next('ready', limits.startMs)).sessions
      parts.onReady()
      pump()
    } catch (error) {
      stop(stopOf(error))
    }
  }

  async function logIn(pinState: PinState): Promise<void> {
    const { latchDir, pin } = parts
    await loginOnce({ latchDir, serial, pinState, pin, loginMs: limits.loginMs, tryPin })
  }

  async function tryPin(pin: Uint8Array): Promise<Failure | null> {
    if (stoppedBy !== null) throw new NotTriedError(stoppedBy.message)
    link.send({ kind: 'login', pin })
    const answer = await exchange.next('login-answer', limits.loginMs)
    lastLogin = performance.now()
    return failureOfLogin(answer)
  }

  function receive(message: FromChild): void {
    lastHeard = performance.now()
    switch (message.kind) {
      case 'found':
      case 'login-answer':
      case 'ready':
      case 'checked':
        return exchange.hear(message)
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
    const late = exchange.overdue(lastLogin)
    if (exchange.owes('login-answer')) return late === 'login-answer' ? 'C_Login' : null
    if (late !== null) return late
    const since = jobs.owedSince(lastHeard)
    const age = since === null ? 0 : performance.now() - Math.max(since, lastLogin)
    return age > limits.callMs ? 'C_Sign' : null
  }

  async function check(): Promise<void> {
    checking ??= (async () => {
      try {
        link.send({ kind: 'check' })
        sessions = (await exchange.next('checked', limits.callMs)).sessions
      } finally {
        checking = null
      }
    })()
    await checking
  }

  /** What the child may still say before it is killed. */
  async function hearOut(why: Stop): Promise<void> {
    const isLoggingIn = () => exchange.owes('login-answer') && stalledAt() !== 'C_Login'
    if (why.kind === 'closed') {
      await until(() => isGone || !(isLoggingIn() || jobs.outCount() > 0), limits.closeMs)
      link.send({ kind: 'close' })
      return await until(() => isGone, limits.closeMs)
    }
    const mayEndWell = why.kind === 'failed' || why.kind === 'latched'
    if (mayEndWell) await until(() => jobs.begunCount() === 0, AFTERMATH_MS)
    await until(() => isGone || !isLoggingIn(), limits.loginMs)
  }

  async function end(): Promise<Stop> {
    const why = await stopped.promise
    await hearOut(why)
    clearInterval(watch)
    link.kill()
    await gone
    exchange.end(new StoppedError(why))
    jobs.loseChild(why.message)
    // A login that was cut off writes down that it was.
    await Promise.all([started, relogin])
    return stoppedBy ?? why
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
