/** What `readyz` says. Open to everyone, so: no DIDs, names or secrets in any of it. */
export type Readiness = {
  readonly ready: boolean
  readonly parts: Record<string, { readonly ok: boolean; readonly message: string }>
  readonly warnings: readonly string[]
}

/** Must not throw for a part that is not ready, and must settle within a deadline of its own. */
export type CheckReadiness = () => Promise<Readiness>

/**
 * Anybody may ask, and an answer may cost a query and a request to the directory: all who ask within `forMs` of a check's
 * start share it.
 */
export function shareReadiness(
  check: CheckReadiness,
  forMs: number,
  now: () => Date,
): CheckReadiness {
  let shared: { at: number; answer: Promise<Readiness> } | null = null
  return () => {
    const at = now().getTime()
    // A clock that was set back must not keep an old answer alive.
    if (shared === null || Math.abs(at - shared.at) >= forMs) shared = { at, answer: check() }
    return shared.answer
  }
}
