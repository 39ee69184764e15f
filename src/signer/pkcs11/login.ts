import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { nameOf } from './ckr.ts'
import type { Pin, PinSource } from './pin-file.ts'
import { amendLatch, describeLatch, engageLatch, readLatch, releaseLatch } from './pin-latch.ts'
import type { Latch, LatchReason } from './pin-latch.ts'
import type { Failure, PinState } from './protocol.ts'

/** There is a latch: no login before a person has removed it. */
export class LatchedError extends Error {
  override readonly name = 'LatchedError'
  readonly latch: Latch

  constructor(latch: Latch) {
    super(describeLatch(latch))
    this.latch = latch
  }
}

/** C_Login was not called after all, so the token has not seen the PIN. */
export class NotTriedError extends Error {
  override readonly name = 'NotTriedError'
}

/** What a child said of a login. @throws NotTriedError */
export function failureOfLogin(answer: {
  readonly failure: Failure | null
  readonly tried: boolean
}): Failure | null {
  if (answer.failure !== null && !answer.tried) throw new NotTriedError(answer.failure.message)
  return answer.failure
}

export type LoginParts = {
  readonly latchDir: string
  readonly serial: string
  readonly pinState: PinState
  readonly pin: PinSource
  /** How long a login may take, ours or another process's. */
  readonly loginMs: number
  /** Sends the PIN to C_Login. Resolves with what it said; rejects when there is no answer, or with
   * NotTriedError before the PIN is sent. */
  readonly tryPin: (pin: Uint8Array) => Promise<Failure | null>
}

const OTHER_LOGIN_POLL_MS = 100

// Attempts of this process, by their random names: a process id alone may be an older process's.
const ownAttempts = new Set<string>()

/**
 * One login under the latch: written and durable before C_Login, removed only after its success. So a
 * crash at any point in between leaves the latch, and no start after it tries again.
 * @throws LatchedError · SignerError when there is no PIN to try
 */
export async function loginOnce(parts: LoginParts): Promise<void> {
  const { latchDir, serial, pinState } = parts
  await refuseLatched(parts)
  const pin = await parts.pin()
  const latch = newLatch(serial, pin)
  try {
    if (pinState !== 'ok') {
      await latchWith(parts, latch, { reason: reasonOf(pinState), detail: 'token flags' })
    }
    ownAttempts.add(latch.attempt)
    // Somebody else's was written since we looked.
    if (!(await engageLatch(latchDir, latch))) return await loginOnce(parts)
    await tryUnderLatch(parts, latch, pin)
  } finally {
    ownAttempts.delete(latch.attempt)
    pin.bytes.fill(0)
  }
}

async function tryUnderLatch(parts: LoginParts, latch: Latch, pin: Pin): Promise<void> {
  let failure: Failure | null
  try {
    failure = await parts.tryPin(pin.bytes)
  } catch (error) {
    if (!(error instanceof NotTriedError)) {
      return await latchWith(parts, latch, { reason: 'login-failed', detail: 'no answer' })
    }
    await releaseLatch(parts.latchDir, parts.serial)
    throw error
  }
  if (failure === null) return await releaseLatch(parts.latchDir, parts.serial)
  const detail = failure.ckr === null ? failure.message : nameOf(failure.ckr)
  await latchWith(parts, latch, { reason: reasonOfFailure(failure), detail })
}

/**
 * A PIN error that came outside of a login, as from a PIN that expired meanwhile. Replaces no latch.
 */
export async function latchFailure(
  latchDir: string,
  serial: string,
  failure: Failure,
): Promise<Latch> {
  const reason = reasonOfFailure(failure)
  const latch = { ...newLatch(serial, { version: null }), reason, detail: failure.message }
  await engageLatch(latchDir, latch)
  return latch
}

/** Waits out a login of another live process: it is no accident. */
async function refuseLatched({ latchDir, serial, loginMs }: LoginParts): Promise<void> {
  for (;;) {
    const latch = await readLatch(latchDir, serial)
    if (latch === null) return
    if (!isUnderWay(latch, loginMs)) throw new LatchedError(latch)
    await delay(OTHER_LOGIN_POLL_MS)
  }
}

function isUnderWay(latch: Latch, loginMs: number): boolean {
  const age = Date.now() - Date.parse(latch.at)
  if (latch.reason !== 'login-begun' || age < 0 || age > loginMs) return false
  if (latch.pid === process.pid) return ownAttempts.has(latch.attempt)
  return isAlive(latch.pid)
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

async function latchWith(
  { latchDir }: LoginParts,
  begun: Latch,
  why: Pick<Latch, 'reason' | 'detail'>,
): Promise<never> {
  const latch = { ...begun, ...why }
  await amendLatch(latchDir, latch)
  throw new LatchedError(latch)
}

function newLatch(serial: string, { version }: Pick<Pin, 'version'>): Latch {
  return {
    serial,
    reason: 'login-begun',
    detail: '',
    pinVersion: version,
    attempt: randomUUID(),
    pid: process.pid,
    at: new Date().toISOString(),
  }
}

function reasonOf(state: Exclude<PinState, 'ok'>): LatchReason {
  return state === 'locked' ? 'pin-locked' : 'final-try'
}

const CKR_PIN_EXPIRED = 0xa3
const CKR_PIN_LOCKED = 0xa4

function reasonOfFailure({ ckr, kind }: Failure): LatchReason {
  if (ckr === CKR_PIN_LOCKED) return 'pin-locked'
  if (ckr === CKR_PIN_EXPIRED) return 'pin-expired'
  return kind === 'latch' ? 'pin-refused' : 'login-failed'
}
