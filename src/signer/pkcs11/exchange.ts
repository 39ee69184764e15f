type Owed<M> = {
  readonly answer: PromiseWithResolvers<M>
  readonly since: number
  readonly limit: number
}

/**
 * Questions to one child and the answers it owes, each of a kind `M` that it says once for each time
 * it is asked, with how long it may take.
 */
export function createExchange<M extends { readonly kind: string }>() {
  type Answer = M['kind']
  const owed = new Map<Answer, Owed<M>>()
  // It goes on by itself after a login, while we are still writing the latch.
  const early = new Map<Answer, M>()
  let over: Error | null = null

  /** Rejects when the exchange is over instead. @param limit milliseconds */
  async function next<K extends Answer>(kind: K, limit: number): Promise<Extract<M, { kind: K }>> {
    if (over !== null) throw over
    const known = early.get(kind)
    if (early.delete(kind)) return known as Extract<M, { kind: K }>
    const answer = Promise.withResolvers<M>()
    owed.set(kind, { answer, since: performance.now(), limit })
    try {
      return (await answer.promise) as Extract<M, { kind: K }>
    } finally {
      owed.delete(kind)
    }
  }

  return {
    next,
    hear: (message: M): void => {
      const asked = owed.get(message.kind)
      if (asked === undefined) early.set(message.kind, message)
      else asked.answer.resolve(message)
    },
    owes: (kind: Answer) => owed.has(kind),
    /** The first answer that is late; times before `from` do not count. */
    overdue: (from: number): Answer | null => {
      for (const [kind, { since, limit }] of owed) {
        if (performance.now() - Math.max(since, from) > limit) return kind
      }
      return null
    },
    /** Nothing more is asked; `spared` may still be answered. */
    end: (error: Error, spared?: Answer): void => {
      over = error
      for (const [kind, { answer }] of owed) if (kind !== spared) answer.reject(error)
    },
  }
}
