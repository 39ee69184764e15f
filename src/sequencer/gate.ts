/** Whether anything may be signed now. Closed until the log was looked at and found whole. */
export type SigningGate = {
  /** Why nothing is signed; null: signing is open. */
  readonly cause: () => string | null
}

export type GateControl = SigningGate & {
  readonly open: () => void
  readonly close: (cause: string) => void
  /** From now on, a look that is older than this closes the gate by itself. */
  readonly expectLooks: (withinMs: number, now: () => number) => void
}

export function createGate(): GateControl {
  let closed: string | null = 'the audit log has not been looked at yet'
  let lookedAt = 0
  let expected: { withinMs: number; now: () => number } | null = null
  const touch = () => (lookedAt = expected?.now() ?? 0)
  return {
    cause: () => {
      if (closed !== null || expected === null) return closed
      return expected.now() - lookedAt > expected.withinMs
        ? 'the audit log has not been looked at for too long'
        : null
    },
    open: () => {
      closed = null
      touch()
    },
    close: (cause) => {
      closed = cause
      touch()
    },
    expectLooks: (withinMs, now) => {
      expected = { withinMs, now }
      touch()
    },
  }
}
