import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Pkcs11Limits } from '../../../src/signer/pkcs11/limits.ts'
import { ask, tally } from './ask.ts'
import type { Answer } from './ask.ts'
import { openBench, until } from './harness.ts'

const CALLERS = 32

/**
 * Signs with 32 callers while every call into the module hangs for a time, then ends.
 * @returns milliseconds, and what became of the requests
 */
export async function stallUnderLoad(options: {
  readonly stallMs: number
  readonly callerMs: number
  readonly limits: Partial<Pkcs11Limits>
  /** The PKCS#11 function that hangs, or * for all. */
  readonly on: string
}) {
  const bench = await openBench()
  const backend = bench.open(options.limits)
  const signer = await backend.openSigner(bench.p)
  const answers: { answer: Answer; ms: number; at: number }[] = []
  const over = new AbortController()
  async function call(): Promise<void> {
    while (!over.signal.aborted) {
      const start = performance.now()
      const answer = await ask(signer, bench.p, options.callerMs)
      answers.push({ answer, ms: performance.now() - start, at: performance.now() })
      if (answer !== 'signed') await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
  const callers = Array.from({ length: CALLERS }, call)
  await until(() => answers.length > CALLERS)
  const delays = monitorEventLoopDelay({ resolution: 5 })
  delays.enable()
  const end = Date.now() + options.stallMs
  await bench.shim.set({ on: options.on, action: 'stall-until', argument: end })
  await new Promise((resolve) => setTimeout(resolve, end - Date.now()))
  delays.disable()
  const ended = performance.now()
  const resumed = await until(() =>
    answers.some(({ answer, at }) => answer === 'signed' && at > ended),
  )
  over.abort()
  await Promise.all(callers)
  return {
    resumed,
    slowest: Math.max(...answers.map(({ ms }) => ms)),
    loopP99: delays.percentile(99) / 1e6,
    answers: tally(answers.map(({ answer }) => answer)),
    states: backend.states,
    logins: await bench.shim.count('C_Login'),
  }
}
