import { SignerError } from '../signer.ts'
import { LatchedError } from './login.ts'
import type { Latch } from './pin-latch.ts'

/** Why a child is no longer used. */
export type Stop =
  | { readonly kind: 'latched'; readonly latch: Latch; readonly message: string }
  /** Will not change before a person changes it. */
  | { readonly kind: 'fault'; readonly message: string }
  | { readonly kind: 'stalled' | 'failed' | 'lost' | 'closed'; readonly message: string }

/** Carries the reason to whoever waits for the child. */
export class StoppedError extends Error {
  override readonly name = 'StoppedError'
  readonly stop: Stop

  constructor(stop: Stop) {
    super(stop.message)
    this.stop = stop
  }
}

export function stopOf(error: unknown): Stop {
  if (error instanceof StoppedError) return error.stop
  if (error instanceof LatchedError) {
    return { kind: 'latched', latch: error.latch, message: error.message }
  }
  if (error instanceof SignerError) return { kind: 'fault', message: error.message }
  // The latch cannot be written, for one: then the PIN is not tried.
  return { kind: 'failed', message: `cannot log in: ${String(error)}` }
}
