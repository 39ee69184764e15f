/** Times in milliseconds. */
export type AwsKmsLimits = {
  /** For a connection to stand. */
  readonly connectMs: number
  /** For one call, from its first byte to its last. */
  readonly requestMs: number
  /** For all tries of one signature: below custody's own deadline, so that callers learn the reason. */
  readonly signMs: number
  /** For one look at a key, two calls. */
  readonly checkMs: number
  /** Connections to one place, and so calls under way there. */
  readonly sockets: number
  /** Between two looks at a key that is ready, and at one that is not. */
  readonly checkEveryMs: number
  readonly recheckEveryMs: number
}

export const DEFAULT_LIMITS: AwsKmsLimits = {
  connectMs: 1_000,
  requestMs: 1_800,
  signMs: 4_000,
  checkMs: 2_500,
  sockets: 64,
  checkEveryMs: 60_000,
  recheckEveryMs: 2_000,
}

/** Signatures in a row that do not verify, after which only a restart lets the key be used again. */
export const MAX_BAD_SIGNATURES = 3

const FIRST_PAUSE_MS = 50
const LAST_PAUSE_MS = 800

/**
 * How long to wait before the next try: doubling from 50 to 800 ms, of which a random half, so that
 * callers who were throttled together do not come back together.
 * @param tries that have failed, at least 1
 * @param random in 0..1
 */
export function pauseBefore(tries: number, random: number): number {
  const doubled = FIRST_PAUSE_MS * 2 ** Math.min(tries - 1, 10)
  return Math.min(LAST_PAUSE_MS, doubled) * (0.5 + random / 2)
}
