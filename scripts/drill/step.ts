/** One thing that a drill has tried, and how it went. */
export type Step = {
  readonly name: string
  readonly ok: boolean
  readonly seconds: number
  /** Why it failed, or what was counted. */
  readonly detail: string
}

/** Told of each step as it ends, so that whoever watches sees where it is. */
export type Steps = {
  /** Runs it; a failure ends the drill there. @returns what it gives */
  run<T>(name: string, work: () => Promise<T>, describe?: (found: T) => string): Promise<T>
  readonly done: readonly Step[]
}

export class DrillFailed extends Error {
  override readonly name = 'DrillFailed'
}

export function createSteps(tell: (step: Step) => void): Steps {
  const done: Step[] = []
  const end = (step: Step): void => {
    done.push(step)
    tell(step)
  }
  return {
    done,
    run: async (name, work, describe = () => '') => {
      const start = performance.now()
      const seconds = () => Math.round((performance.now() - start) / 100) / 10
      try {
        const found = await work()
        end({ name, ok: true, seconds: seconds(), detail: describe(found) })
        return found
      } catch (cause) {
        const detail = wordsOf(cause)
        end({ name, ok: false, seconds: seconds(), detail })
        throw new DrillFailed(`${name}: ${detail}`, { cause })
      }
    },
  }
}

function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause === undefined ? error.message : `${error.message}: ${wordsOf(error.cause)}`
}
