import { rename } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import type { Signer } from '../../../src/signer/signer.ts'
import { CKR } from '../../support/pkcs11-shim/shim.ts'
import type { Rule } from '../../support/pkcs11-shim/shim.ts'
import { missingForPkcs11 } from '../../support/softhsm.ts'
import { ask, tally, within } from './ask.ts'
import type { Answer } from './ask.ts'
import { openBench, until } from './harness.ts'
import type { Bench } from './harness.ts'

const missing = missingForPkcs11()
const SESSIONS = 4
const CALLERS = 32

/** Asks with many callers while something happens to the token; stops when all is well again. */
async function underLoad(signer: Signer, bench: Bench, harm: () => Promise<void>) {
  const answers: Answer[] = []
  const over = new AbortController()
  let recovered = 0
  async function call(): Promise<void> {
    while (!over.signal.aborted) {
      const answer = await ask(signer, bench.p)
      answers.push(answer)
      // As callers do that are told to retry later.
      if (answer !== 'signed') await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  const callers = Array.from({ length: CALLERS }, call)
  await until(() => answers.length > CALLERS)
  try {
    await harm()
    const before = answers.length
    const isWell = () => answers.slice(before + CALLERS).includes('signed')
    recovered = await until(isWell, 10_000)
  } finally {
    over.abort()
    await Promise.all(callers)
  }
  const { signed = 0, ...failed } = tally(answers)
  return { signed, failed, recovered, failures: answers.length - signed }
}

async function opened(limits: Parameters<Bench['open']>[0] = {}) {
  const bench = await openBench()
  const backend = bench.open({ sessions: SESSIONS, ...limits })
  return { bench, backend, signer: await backend.openSigner(bench.p) }
}

describe.skipIf(missing !== null)(`a token under load (needs ${missing ?? 'nothing more'})`, () => {
  const harms: [string, Rule][] = [
    ['closes all sessions', { on: 'C_SignInit', action: 'close-sessions', times: 1 }],
    ['closes all sessions, three times', { on: 'C_Sign', action: 'close-sessions', times: 3 }],
    ['logs us out', { on: 'C_SignInit', action: 'logout', times: 1 }],
    ['logs us out, five times', { on: 'C_GetSessionInfo', action: 'logout', times: 5 }],
    ['is finalised by somebody', { on: 'C_SignInit', action: 'finalize', times: 1 }],
    ['is finalised in the middle of a signature', { on: 'C_Sign', action: 'finalize', times: 1 }],
    ['crashes its process', { on: 'C_Sign', action: 'crash', times: 1 }],
    ['fails once', { on: 'C_Sign', action: 'fail', argument: CKR.DEVICE_ERROR, times: 1 }],
    [
      'forgets sessions, whatever we do',
      { on: 'C_SignInit', action: 'fail', argument: CKR.SESSION_HANDLE_INVALID, times: 12 },
    ],
    ['runs out of memory', { on: 'C_Sign', action: 'fail', argument: CKR.DEVICE_MEMORY, times: 3 }],
    [
      'has an operation open',
      { on: 'C_SignInit', action: 'fail', argument: CKR.OPERATION_ACTIVE, times: 2 },
    ],
    [
      'returns an error of its own',
      { on: 'C_Sign', action: 'fail', argument: 0x80000123, times: 1 },
    ],
  ]
  test.each(harms)(
    'that %s costs at most one request per session and recovers alone',
    async (_what, rule) => {
      const { bench, signer } = await opened()
      const result = await underLoad(signer, bench, async () => await bench.shim.set(rule))
      expect(result.failed['signature-invalid']).toBeUndefined()
      expect(result.failed['key-unusable']).toBeUndefined()
      expect(result.failures).toBeLessThanOrEqual(SESSIONS)
      expect(result.recovered).toBeLessThan(20_000)
    },
  )

  test('whose child is killed costs at most one request per session', async () => {
    const { bench, backend, signer } = await opened()
    const result = await underLoad(signer, bench, async () => {
      const pid = backend.childPids()[0]
      expect(pid).toBeDefined()
      process.kill(pid ?? 0, 'SIGKILL')
    })
    expect(result.failures).toBeLessThanOrEqual(SESSIONS)
    expect(result.failed).toEqual(result.failures === 0 ? {} : { timeout: result.failures })
    expect(result.recovered).toBeLessThan(10_000)
  })

  test('whose files are removed and restored never signs wrongly and is found again', async () => {
    const { bench, backend, signer } = await opened({ idleCheckMs: 200 })
    const away = `${bench.tokens}-away`
    await rename(bench.tokens, away)
    await bench.shim.set({ on: 'C_Sign', action: 'close-sessions', times: 1 })
    await until(async () => (await ask(signer, bench.p, 500)) === 'unavailable')
    await until(() => backend.health()[0]?.state.kind === 'reconnecting')
    await rename(away, bench.tokens)
    await until(async () => (await ask(signer, bench.p)) === 'signed', 10_000)
    await expect(signer.check(within(1_000))).resolves.toBeUndefined()
  })

  test('that fails for good is answered for at once, and the module is not hammered', async () => {
    const { bench, signer } = await opened({ patienceMs: 300 })
    await bench.shim.set({ on: '*', action: 'fail', argument: CKR.DEVICE_ERROR })
    await ask(signer, bench.p)
    await until(async () => {
      const start = performance.now()
      const answer = await ask(signer, bench.p)
      return answer === 'unavailable' && performance.now() - start < 50
    })
    const before = await bench.shim.count('C_Initialize')
    await new Promise((resolve) => setTimeout(resolve, 2_000))
    expect((await bench.shim.count('C_Initialize')) - before).toBeLessThan(8)
    await expect(signer.check(within(500))).rejects.toMatchObject({ code: 'unavailable' })
    await bench.shim.set()
    await until(async () => (await ask(signer, bench.p)) === 'signed')
  })

  test('that dies while nobody asks is repaired before somebody does', async () => {
    const { bench, signer } = await opened({ idleCheckMs: 100 })
    await bench.shim.set({ on: 'C_GetSessionInfo', action: 'finalize', times: 1 })
    await until(async () => (await bench.shim.count('C_Initialize')) === 2)
    expect(await ask(signer, bench.p)).toBe('signed')
  })
})

describe.skipIf(missing !== null)(`a request (needs ${missing ?? 'nothing more'})`, () => {
  test('that got an error from C_Sign may have used the key', async () => {
    const { bench, signer } = await opened()
    const lost = { on: 'C_Sign', action: 'lose', argument: CKR.GENERAL_ERROR, times: 1 }
    await bench.shim.set(lost)
    expect(await ask(signer, bench.p)).toBe('timeout')
    expect(await ask(signer, bench.p)).toBe('signed')
  })

  test('that lost its session before C_Sign is signed on another, and the key used once', async () => {
    const { bench, signer } = await opened()
    await bench.shim.set({
      on: 'C_SignInit',
      action: 'fail',
      argument: CKR.SESSION_HANDLE_INVALID,
      times: 1,
    })
    expect(await ask(signer, bench.p)).toBe('signed')
    expect(await bench.shim.count('C_Sign')).toBe(1)
  })

  test('to a key that may not sign is refused as unusable', async () => {
    const { bench, signer } = await opened()
    const argument = CKR.KEY_FUNCTION_NOT_PERMITTED
    await bench.shim.set({ on: 'C_SignInit', action: 'fail', argument, times: 1 })
    expect(await ask(signer, bench.p)).toBe('key-unusable')
  })

  test('beyond the queue is refused at once and not lost on the way', async () => {
    const { bench, signer } = await opened({ queued: 5, sessions: 1, callMs: 10_000 })
    await bench.shim.set({ on: 'C_Sign', action: 'stall', argument: 300, times: 1 })
    const answers = await Promise.all(
      Array.from({ length: 20 }, async () => await ask(signer, bench.p)),
    )
    expect(tally(answers)).toEqual({ signed: 5, unavailable: 15 })
  })

  test('whose deadline is over before it began leaves the key unused', async () => {
    const { bench, signer } = await opened({ sessions: 1 })
    await bench.shim.set({ on: 'C_Sign', action: 'stall', argument: 400, times: 1 })
    const first = ask(signer, bench.p)
    await until(async () => (await bench.shim.count('C_Sign')) === 1)
    const late = await Promise.all(
      Array.from({ length: 20 }, async () => await ask(signer, bench.p, 100)),
    )
    expect(await first).toBe('signed')
    expect(late.filter((answer) => answer === 'signed')).toEqual([])
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect(await bench.shim.count('C_Sign')).toBe(1)
  })

  test('that has begun when the service stops is finished, the others are told', async () => {
    const { bench, backend, signer } = await opened()
    await bench.shim.set({ on: 'C_Sign', action: 'stall', argument: 100 })
    const answers = Array.from({ length: 40 }, async () => await ask(signer, bench.p))
    await until(async () => (await bench.shim.count('C_Sign')) >= SESSIONS)
    await backend.close()
    const { signed = 0, ...others } = tally(await Promise.all(answers))
    expect(signed).toBe(await bench.shim.count('C_Sign'))
    expect(signed).toBeGreaterThanOrEqual(SESSIONS)
    expect(others).toEqual({ unavailable: 40 - signed })
    expect(await ask(signer, bench.p)).toBe('unavailable')
  })

  test('to a service that stops while the token hangs does not hold it up', async () => {
    const { bench, backend, signer } = await opened({ closeMs: 300 })
    await bench.shim.set({ on: 'C_Sign', action: 'stall', argument: 60_000 })
    const answer = ask(signer, bench.p)
    await until(async () => (await bench.shim.count('C_Sign')) === 1)
    const start = performance.now()
    await backend.close()
    expect(performance.now() - start).toBeLessThan(15_000)
    expect(await answer).toBe('timeout')
  })

  const wrong: [string, Rule][] = [
    ['with a flipped bit', { on: 'C_Sign', action: 'flip', argument: 100 }],
    ['over another digest', { on: 'C_Sign', action: 'other-digest' }],
    ['of 63 bytes', { on: 'C_Sign', action: 'length', argument: 63 }],
    ['of no bytes', { on: 'C_Sign', action: 'length', argument: 0 }],
    ['of 65 bytes', { on: 'C_Sign', action: 'length', argument: 65 }],
  ]
  test.each(wrong)('answered by a signature %s is not released', async (_what, rule) => {
    const { bench, signer } = await opened()
    await bench.shim.set(rule)
    expect(await ask(signer, bench.p)).toBe('signature-invalid')
    await bench.shim.set()
    expect(await ask(signer, bench.p)).toBe('signed')
  })

  test.each(['k', 'p'] as const)(
    'answered by a high-S signature of %s is lowered',
    async (name) => {
      const { bench, backend } = await opened()
      const signer = await backend.openSigner(bench[name])
      await bench.shim.set({ on: 'C_Sign', action: 'high-s', argument: name === 'k' ? 0 : 1 })
      for (let n = 0; n < 10; n += 1) expect(await ask(signer, bench[name])).toBe('signed')
    },
  )
})
