/** One part of being able to sign: its name, and a check that throws when it is not ready. */
export type Part = { readonly name: string; readonly check: (signal: AbortSignal) => Promise<void> }

export type Readiness = {
  readonly ready: boolean
  readonly parts: Record<string, { readonly ok: boolean; readonly message: string }>
  readonly warnings: readonly string[]
}

const CHECK_DEADLINE_MS = 3_000

/** Asks every part at once, each with a deadline: one that hangs is one that is not ready. */
export async function checkReadiness(
  parts: readonly Part[],
  warnings: () => readonly string[],
): Promise<Readiness> {
  const answers = await Promise.all(
    parts.map(async (part) => [part.name, await ask(part)] as const),
  )
  return {
    ready: answers.every(([, answer]) => answer.ok),
    parts: Object.fromEntries(answers),
    // After the checks, which find some of them.
    warnings: warnings(),
  }
}

async function ask(part: Part): Promise<{ ok: boolean; message: string }> {
  const signal = AbortSignal.timeout(CHECK_DEADLINE_MS)
  const expired = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(new Error('no answer in time')), { once: true })
  })
  try {
    await Promise.race([part.check(signal), expired])
    return { ok: true, message: 'ready' }
  } catch (error) {
    // The door is open to everyone, and a driver's message may name hosts and users.
    return { ok: false, message: error instanceof NotReady ? error.message : 'does not answer' }
  }
}

/** Its message is shown to anybody. */
export class NotReady extends Error {
  override readonly name = 'NotReady'
}
