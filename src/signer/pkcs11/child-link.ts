import { fork } from 'node:child_process'

/** One child and the pipe to it. */
export type ChildLink<To> = {
  readonly pid: number | undefined
  send(message: To): void
  kill(): void
  /** Resolves when the child is dead and all it said has been received. */
  readonly gone: Promise<void>
}

export type ChildOptions<From> = {
  readonly program: URL
  /** For the module; not the service's own, which holds secrets that a vendor's code has no use for. */
  readonly environment: NodeJS.ProcessEnv
  /** A vendor's module runs there: what it says is checked like any other input. Throws. */
  readonly parse: (message: unknown) => From
  readonly receive: (message: From) => void
  /** What it said is not what it can say. */
  readonly garbled: (cause: unknown) => void
}

// A grandchild of the module's may keep the pipe open; a device in D state may keep the child.
const SETTLE_MS = 1_000

/** Starts a process that knows nothing yet: neither token nor PIN are in its arguments or environment. */
export function startChild<From, To extends object>(options: ChildOptions<From>): ChildLink<To> {
  const child = fork(options.program, [], {
    env: options.environment,
    execArgv: [],
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  })
  const gone = Promise.withResolvers<void>()
  const ended = { exit: false, pipe: false }
  const end = (what: Partial<typeof ended>) => {
    Object.assign(ended, what)
    if (ended.exit && ended.pipe) gone.resolve()
    else setTimeout(gone.resolve, SETTLE_MS).unref()
  }
  child.on('message', (message) => {
    try {
      options.receive(options.parse(message))
    } catch (error) {
      options.garbled(error)
    }
  })
  child.on('disconnect', () => end({ pipe: true }))
  child.on('exit', () => end({ exit: true }))
  // Could not be started, or not be sent to: in either case it is of no use.
  child.on('error', () => {
    child.kill('SIGKILL')
    end({ exit: true, pipe: true })
  })
  return {
    pid: child.pid,
    send: (message) => {
      // The error goes to the listener above, which would otherwise be an exception.
      if (child.connected) child.send(message, () => {})
    },
    kill: () => {
      child.kill('SIGKILL')
      setTimeout(gone.resolve, SETTLE_MS).unref()
    },
    gone: gone.promise,
  }
}
