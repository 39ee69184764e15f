// The process that holds a vendor's PKCS#11 module. Its parent kills it when it does not answer, and
// never loads the module itself. It can sign and look; it has no call that makes or changes a key.
import { createKeyTable } from './key-table.ts'
import { StepError, failureOf, findToken, login, openModule, readPinState } from './module.ts'
import type { Module, Token } from './module.ts'
import type { Failure, FromChild, ToChild } from './protocol.ts'
import { createSessionPool } from './session-pool.ts'
import type { Session } from './session-pool.ts'
import { createSignLoop, usableSession } from './sign-loop.ts'

type Opened = ReturnType<typeof openToken>
type Open = Extract<ToChild, { kind: 'open' }>

// How long what has begun may take when the parent is gone or has asked us to leave.
const DRAIN_MS = 2_000

let opened: Opened | null = null
let reloginAsked: { session: Session; logged: PromiseWithResolvers<void> } | null = null
let refused: Failure | null = null
let leaving = false

process.on('message', (message) => guard(() => receive(message as ToChild)))
process.on('disconnect', leave)
process.on('uncaughtException', (error) => fail(failureOf('child', error)))
// A terminal and systemd signal the whole group: the parent must be able to drain first.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})

function guard(work: () => void | Promise<void>): void {
  void (async () => {
    try {
      await work()
    } catch (error) {
      fail(failureOf('child', error))
    }
  })()
}

function receive(message: ToChild): void | Promise<void> {
  switch (message.kind) {
    case 'open':
      return open(message)
    case 'login':
      return loggedIn(known(), message.pin)
    case 'keys':
      return known().keys.add(message.keys)
    case 'sign':
      return known().loop.add(message.items)
    case 'cancel':
      return known().loop.cancel(message.ids)
    case 'check':
      return check(known())
    case 'close':
      return leave()
  }
}

function open(message: Open): void {
  const module = openModule(message.modulePath)
  const token = findToken(module, message.token)
  opened = openToken(module, token, message)
  const pin = readPinState(module, token.slot)
  const { serial, label, needsLogin } = token
  send({ kind: 'found', serial, label, needsLogin, pin })
  if (!needsLogin) settle(opened)
}

function openToken(module: Module, token: Token, message: Open) {
  const size = Math.max(1, Math.min(message.sessions, token.maxSessions ?? message.sessions))
  const pool = createSessionPool(module, token, { size })
  const keys = createKeyTable(module, {
    isLoggedIn: pool.isLoggedIn,
    report: (states) => send({ kind: 'keys', states }),
  })
  keys.add(message.keys)
  const loop = createSignLoop({ module, pool, keys, relogin, send, fatal: fail })
  return { module, token, pool, keys, loop }
}

/** The parent has written the latch: from here on a crash counts as a wrong PIN. */
function loggedIn(token: Opened, pin: Uint8Array): void {
  const session = reloginAsked?.session ?? token.pool.take()
  let failure: Failure | null = null
  let tried = false
  try {
    if (session === null) throw new TypeError('login while all sessions are busy')
    const { handle } = token.pool.validate(session)
    tried = true
    login(token.module, handle, pin)
  } catch (error) {
    failure = failureOf(tried ? 'C_Login' : 'session', error)
  }
  pin.fill(0)
  send({ kind: 'login-answer', failure, tried })
  if (failure !== null) return refuseLogin(failure)
  token.keys.forget()
  if (reloginAsked === null) {
    if (session !== null) token.pool.giveBack(session)
    return settle(token)
  }
  reloginAsked.logged.resolve()
  reloginAsked = null
}

/** The parent ends this process now; nobody may ask again meanwhile. */
function refuseLogin(failure: Failure): void {
  refused = failure
  reloginAsked?.logged.reject(new StepError('login', 'busy', failure.message))
}

/** One login at a time: the token knows one state for all sessions. */
async function relogin(session: Session): Promise<void> {
  if (refused !== null) throw new StepError('login', 'busy', refused.message)
  if (reloginAsked === null) {
    reloginAsked = { session, logged: Promise.withResolvers<void>() }
    const { module, token } = known()
    send({ kind: 'login-needed', pin: readPinState(module, token.slot) })
  }
  await reloginAsked.logged.promise
}

function settle(token: Opened): void {
  const sessions = token.pool.fill()
  const session = token.pool.take()
  if (session !== null) {
    token.keys.lookForAll(token.pool.validate(session).handle)
    token.pool.giveBack(session)
  }
  send({ kind: 'ready', sessions })
}

/** Repairs what is idle, so that a session which died overnight costs no caller anything. */
async function check(token: Opened): Promise<void> {
  const session = token.pool.take()
  // All busy: their signatures say more than a question would.
  if (session !== null) {
    try {
      await lookAround(token, session)
    } catch (error) {
      if (failureOf('check', error).kind !== 'reopen') throw error
      token.pool.discard(session)
      token.keys.forget()
      await lookAround(token, session)
    } finally {
      token.pool.giveBack(session)
    }
  }
  send({ kind: 'checked', sessions: token.pool.openCount() })
}

async function lookAround(token: Opened, session: Session): Promise<void> {
  token.keys.lookForAll(await usableSession({ pool: token.pool, relogin }, session))
  token.pool.fill()
}

function fail(failure: Failure): void {
  if (leaving) return
  leaving = true
  send({ kind: 'failed', failure })
}

/** Never unload the module under a running call. */
function leave(): void {
  if (leaving && !process.connected) return end()
  leaving = true
  const deadline = performance.now() + DRAIN_MS
  const wait = setInterval(() => {
    if (opened?.loop.isIdle() === false && performance.now() < deadline) return
    clearInterval(wait)
    end()
  }, 5)
}

function end(): void {
  try {
    // Without a parent nobody could end us if the module hung here.
    if (process.connected && opened?.loop.isIdle() === true) opened.module.C_Finalize()
  } catch {
    // It is leaving anyway.
  }
  // Not exit(): that would run the module's own clean-up under calls that hang.
  process.kill(process.pid, 'SIGKILL')
}

function send(message: FromChild, sent?: () => void): void {
  if (!process.connected) return
  process.send?.(message, undefined, undefined, (error) => {
    if (error === null) sent?.()
  })
}

function known(): Opened {
  if (opened === null) throw new TypeError('the parent has not opened a token')
  return opened
}
