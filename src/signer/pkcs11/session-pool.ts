// Child side only.
import { CKR_SESSION_COUNT, classOf } from './ckr.ts'
import { ckrOf } from './module.ts'
import type { Handle, Module, Token } from './module.ts'

/**
 * One place in the pool. `handle` is null until it is opened, and again after an error. `restsUntil`:
 * the token had no room for it, so the others serve alone until then.
 */
export type Session = { handle: Handle | null; busy: boolean; restsUntil: number }

export type SessionPool = ReturnType<typeof createSessionPool>

const CKF_SERIAL_SESSION = 0x4
const CKF_RW_SESSION = 0x2
const USER_STATES: readonly number[] = [1, 3]
const REST_MS = 1_000

/**
 * Sessions of one token. One signature at a time runs on each; a session that reported an error is
 * closed and never used again, since what operation is open on it is unknown.
 */
export function createSessionPool(
  module: Module,
  token: Token,
  { size, writable = false }: { size: number; writable?: boolean },
) {
  const sessions: Session[] = Array.from({ length: size }, () => ({
    handle: null,
    busy: false,
    restsUntil: 0,
  }))
  const flags = CKF_SERIAL_SESSION | (writable ? CKF_RW_SESSION : 0)

  function open(session: Session): Handle {
    try {
      session.handle = module.C_OpenSession(token.slot, flags)
      return session.handle
    } catch (error) {
      if (ckrOf(error) === CKR_SESSION_COUNT) session.restsUntil = performance.now() + REST_MS
      throw error
    }
  }

  /** An idle session, now taken; those that are open come first. */
  function take(): Session | null {
    const idle = sessions.filter((session) => !session.busy)
    const session = idle.find(({ handle }) => handle !== null) ?? idle.find(mayOpen) ?? null
    if (session !== null) session.busy = true
    return session
  }

  function mayOpen({ restsUntil }: Session): boolean {
    return openCount() === 0 || performance.now() >= restsUntil
  }

  /** Asks the token whether the session is alive, and opens another where it is not. */
  function validate(session: Session): { handle: Handle; loggedIn: boolean } {
    const handle = session.handle ?? open(session)
    try {
      return { handle, loggedIn: isLoggedIn(handle) }
    } catch (error) {
      discard(session)
      const ckr = ckrOf(error)
      if (ckr === null || classOf(ckr) !== 'reopen') throw error
      const fresh = open(session)
      return { handle: fresh, loggedIn: isLoggedIn(fresh) }
    }
  }

  function isLoggedIn(handle: Handle): boolean {
    const { state } = module.C_GetSessionInfo(handle)
    return !token.needsLogin || USER_STATES.includes(state)
  }

  /** Its handle may be dead already: then there is nothing to close. */
  function discard(session: Session): void {
    const { handle } = session
    session.handle = null
    if (handle === null) return
    try {
      module.C_CloseSession(handle)
    } catch {
      // Gone is what it was to be.
    }
  }

  /** Opens all, as far as the token lets us. @returns how many are open */
  function fill(): number {
    for (const session of sessions) {
      if (session.handle !== null) continue
      try {
        open(session)
      } catch (error) {
        if (ckrOf(error) !== CKR_SESSION_COUNT || openCount() === 0) throw error
        break
      }
    }
    return openCount()
  }

  const openCount = () => sessions.filter(({ handle }) => handle !== null).length

  return {
    take,
    validate,
    discard,
    fill,
    openCount,
    isLoggedIn,
    giveBack: (session: Session) => {
      session.busy = false
    },
    isIdle: () => sessions.every(({ busy }) => !busy),
  }
}
