import type { EcdsaVerify } from '../plc/signature.ts'
import { verifyForRelease } from './release.ts'
import { SignerError } from './signer.ts'
import type { CommittedIntent, KeyUse, Signer } from './signer.ts'

/** One of the places that hold a key. `name` goes into the record. */
export type Home = { readonly name: string; readonly signer: Signer }

/** Another home is the one that is asked first. `isBack`: it is the preferred one again. */
export type TakeOver = {
  readonly from: string
  readonly to: string
  /** Of the first home's failure; null when it is well again. */
  readonly error: unknown
  readonly isBack: boolean
}

export type Homes = Signer & {
  /** Without names. */
  readonly warnings: () => readonly string[]
}

type State = Home & {
  /** It failed, and is passed over. */
  isDown: boolean
  /** When one call may try it again, and how often it has failed without a quiet time in between. */
  retryAt: number
  failures: number
  wellSince: number
  isTrying: boolean
  /** By its last check. */
  isSilent: boolean
}

/** A home that has not answered by then is passed over: the next one signs within a second. */
const PATIENCE_MS = 500
const GRACE_MS = 150
const FIRST_RETRY_MS = 1_000
const LAST_RETRY_MS = 30_000
/** A home that was well for so long starts again with the first retry. */
const QUIET_MS = 60_000

/**
 * One key in several places, the preferred one first. A call asks one home after the other for a
 * signature over the same bytes, within the one claim that its caller holds, and answers with the first
 * that verifies: what comes later is forgotten, so that one signature is released. A home that failed is
 * passed over, and tried again by one call at a time until it is well.
 */
export function createHomes(
  homes: readonly Home[],
  parts: { readonly verify: EcdsaVerify; readonly report: (change: TakeOver) => void },
): Homes {
  const states = homes.map((home): State => ({ ...home, ...WELL }))
  const [preferred] = states
  if (preferred === undefined) throw new TypeError('a key has at least one home')
  let asked = preferred

  async function sign(intent: CommittedIntent, signal: AbortSignal): Promise<KeyUse> {
    const failures: unknown[] = []
    const order = inOrder(states)
    for (const home of order) {
      if (signal.aborted) break
      try {
        return await signIn(home, intent, home === order.at(-1) ? signal : impatient(signal))
      } catch (error) {
        failures.push(error)
      }
    }
    throw worstOf(failures)
  }

  async function signIn(
    home: State,
    intent: CommittedIntent,
    signal: AbortSignal,
  ): Promise<KeyUse> {
    // Of the calls that are under way when a home fails, none brings it back and only one counts.
    const isTrial = home.isDown
    if (isTrial) home.isTrying = true
    try {
      const use = await untilAborted(home.signer.sign(intent, signal), signal)
      // A home with another key, or a broken one, is no reason not to sign in the next.
      await verifyForRelease(intent, use, parts.verify)
      if (isTrial) bringBack(home)
      return { ...use, home: home.name }
    } catch (error) {
      if (isTrial || !home.isDown) passOver(home, error)
      throw error
    } finally {
      if (isTrial) home.isTrying = false
    }
  }

  function passOver(home: State, error: unknown): void {
    const now = performance.now()
    const wasQuiet = !home.isDown && now - home.wellSince > QUIET_MS
    home.failures = wasQuiet ? 1 : home.failures + 1
    home.isDown = true
    home.retryAt = now + Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** (home.failures - 1))
    reportChange(error)
  }

  function bringBack(home: State): void {
    Object.assign(home, { isDown: false, wellSince: performance.now() })
    reportChange(null)
  }

  /** While all are down, nobody has taken over. */
  function reportChange(error: unknown): void {
    const next = states.find(({ isDown }) => !isDown)
    if (next === undefined || next === asked) return
    const change = { from: asked.name, to: next.name, error, isBack: next === preferred }
    asked = next
    parts.report(change)
  }

  return {
    sign,
    check: async (signal) => {
      const checks = await Promise.allSettled(
        states.map(async ({ signer }) => await signer.check(signal)),
      )
      for (const [index, home] of states.entries()) {
        home.isSilent = checks[index]?.status === 'rejected'
      }
      const failed = checks.flatMap((check) => (check.status === 'rejected' ? [check.reason] : []))
      if (failed.length === states.length) throw failed[0]
    },
    warnings: () => {
      const isAway = ({ isDown, isSilent }: State) => isDown || isSilent
      if (isAway(preferred)) {
        return ['the first home of a key is down, and another one signs in its place']
      }
      if (!states.some(isAway)) return []
      return ['a home of a key is down: it could not take over if the first one failed']
    },
    close: async () => {
      await Promise.all(states.map(async ({ signer }) => await signer.close()))
    },
  }
}

const WELL = {
  isDown: false,
  retryAt: 0,
  failures: 0,
  wellSince: Number.NEGATIVE_INFINITY,
  isTrying: false,
  isSilent: false,
}

/** Those that are well, with one that may be tried again in its place; the others are the last resort. */
function inOrder(states: readonly State[]): State[] {
  const now = performance.now()
  const isAsked = (state: State) => !state.isDown || (now >= state.retryAt && !state.isTrying)
  return [...states.filter(isAsked), ...states.filter((state) => !isAsked(state))]
}

const impatient = (signal: AbortSignal) =>
  AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)])

/** A home that does not listen to its signal is not waited for; one that does says what it knows. */
async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>()
  const expire = () =>
    aborted.reject(new SignerError('timeout', 'this home of the key did not answer in time'))
  let grace: NodeJS.Timeout | undefined
  const abort = () => {
    grace = setTimeout(expire, GRACE_MS)
  }
  if (signal.aborted) abort()
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([work, aborted.promise])
  } finally {
    clearTimeout(grace)
    signal.removeEventListener('abort', abort)
  }
}

/** A key that may have been used in one home may have been used. */
function worstOf(failures: readonly unknown[]): unknown {
  const byCode = (code: string) =>
    failures.find((failure) => failure instanceof SignerError && failure.code === code)
  const late = () => new SignerError('unavailable', 'the deadline was over before a home was asked')
  return byCode('timeout') ?? byCode('unavailable') ?? failures.at(-1) ?? late()
}
