/** Times in milliseconds. */
export type Pkcs11Limits = {
  /** Signatures at once; fewer where the token allows fewer sessions. */
  readonly sessions: number
  /** Signatures that may wait for the child; more are refused at once. */
  readonly queued: number
  /** A signature, or a question to the token, that takes longer has stalled: the child is killed. */
  readonly callMs: number
  /** From the child's start, or from its login, until it can sign. */
  readonly startMs: number
  /**
   * A login. Much longer, since killing it counts as a wrong PIN: a token that hangs in C_Login is
   * waited for, and what wants to sign meanwhile is told so.
   */
  readonly loginMs: number
  /** For what has begun when the service stops, and again for the module's own end. */
  readonly closeMs: number
  /** A token that has been away for longer answers callers at once instead of at their deadline. */
  readonly patienceMs: number
  /** How often an idle token is asked whether it is alive. */
  readonly idleCheckMs: number
}

export const DEFAULT_LIMITS: Pkcs11Limits = {
  sessions: 4,
  queued: 256,
  callMs: 3_000,
  startMs: 10_000,
  loginMs: 300_000,
  closeMs: 3_000,
  patienceMs: 1_000,
  idleCheckMs: 10_000,
}

const FIRST_DELAY_MS = 20
const SECOND_DELAY_MS = 100
const LAST_DELAY_MS = 2_000

/**
 * How long to wait before the next child: hardly at all the first time, then doubling from 0.1 to 2 s,
 * of which a random half, so that several services do not knock at the same time.
 * @param failures in a row, at least 1
 * @param random in 0..1
 */
export function restartDelay(failures: number, random: number): number {
  const doubled = SECOND_DELAY_MS * 2 ** Math.min(failures - 2, 10)
  const full = failures <= 1 ? FIRST_DELAY_MS : Math.min(LAST_DELAY_MS, doubled)
  return full * (0.5 + random / 2)
}

/** After a stall its deadline was the wait, and the token may be back at any moment. */
export function delayAfterStall(random: number): number {
  return restartDelay(2, random)
}

/** What a person must repair; looked at again in case one did. */
export function delayAfterFault(random: number): number {
  return LAST_DELAY_MS * (1 + random)
}
