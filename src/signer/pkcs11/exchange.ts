import type { FromChild } from './protocol.ts'

/** What the child says once for each time it is asked. */
export type Answer = 'found' | 'login-answer' | 'ready' | 'checked'
export type AnswerOf<K extends Answer> = Extract<FromChild, { kind: K }>

type Owed = {
  readonly answer: PromiseWithResolvers<FromChild>
  readonly since: number
  readonly limit: number
}

export type Exchange = ReturnType<typeof createExchange>

/** Questions to one child and the answers it owes, with how long each may take. */
export function createExchange() {
  const owed = new Map<Answer, Owed>()
  // It goes on by itself after a login, while we are still writing the latch.
  const early = new Map<Answer, FromChild>()
  let over: Error | null = null

  /** Rejects when the exchange is over instead. @param limit milliseconds */
  async function next<K extends Answer>(kind: K, limit: number): Promise<AnswerOf<K>> {
    if (over !== null) throw over
    const known = early.get(kind)
    if (early.delete(kind)) return known as AnswerOf<K>
    const answer = Promise.withResolvers<FromChild>()
    owed.set(kind, { answer, since: performance.now(), limit })
    try {
      return (await answer.promise) as AnswerOf<K>
    } finally {
      owed.delete(kind)
    }
  }

  return {
    next,
    hear: (message: AnswerOf<Answer>): void => {
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
