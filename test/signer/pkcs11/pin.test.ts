import { fork } from 'node:child_process'
import { chmod, mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { describeHealth } from '../../../src/signer/backend.ts'
import { listLatches, unlatch } from '../../../src/signer/pkcs11/pin-latch.ts'
import { CKR } from '../../support/pkcs11-shim/shim.ts'
import { missingForPkcs11 } from '../../support/softhsm.ts'
import { ask, within } from './ask.ts'
import { openBench, until } from './harness.ts'
import type { Bench } from './harness.ts'
import type { ServiceNews, ServiceOrder } from './service.ts'

const missing = missingForPkcs11()
const service = new URL('service.ts', import.meta.url)

/** A service in another process, as the test's own is not to be killed. */
function startService(bench: Bench) {
  const child = fork(service, [], { execArgv: [], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  const news: ServiceNews[] = []
  const gone = new Promise<void>((resolve) => child.on('exit', () => resolve()))
  const send = (order: ServiceOrder) => child.send(order)
  child.on('message', (message) => news.push(message as ServiceNews))
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await gone
  })
  const { latchDir, environment } = bench
  send({ kind: 'open', key: bench.p, options: { latchDir, environment, pinFile: null } })
  return {
    kill: async () => {
      child.kill('SIGKILL')
      await gone
    },
    /** How its opening ended. */
    opened: async () => {
      await until(() => news.length > 0, 15_000)
      return news[0]
    },
    sign: async () => {
      const before = news.length
      send({ kind: 'sign' })
      await until(() => news.length > before)
      return news.at(-1)
    },
    stop: async () => {
      send({ kind: 'close' })
      await gone
    },
  }
}

const latched = expect.objectContaining({ kind: 'opened', state: 'latched' })

/** Starts and stops the service three times; each time it says that it is latched. */
async function restartThrice(bench: Bench): Promise<void> {
  for (let n = 0; n < 3; n += 1) {
    const again = startService(bench)
    expect(await again.opened()).toEqual(latched)
    expect(await again.sign()).toEqual({ kind: 'answer', answer: 'unavailable' })
    await again.stop()
  }
}

async function loginBegins(bench: Bench): Promise<void> {
  await until(async () => (await bench.shim.count('C_Login')) > 0, 15_000)
}

/** The processes that hold this bench's module, whoever their parent is now. */
async function moduleHolders(bench: Bench): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const held = await Promise.all(
    pids.map(async (pid) => {
      const environ = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')
      const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
      return environ.includes(bench.dir) && command.includes('pkcs11/child.ts') ? [Number(pid)] : []
    }),
  )
  return held.flat()
}

async function soleLatch(bench: Bench) {
  const latches = await listLatches(bench.latchDir)
  expect(latches).toHaveLength(1)
  return latches[0]!
}

describe.skipIf(missing !== null)(`the wrong PIN (needs ${missing ?? 'nothing more'})`, () => {
  test('is tried once, through three clean restarts', async () => {
    const bench = await openBench()
    await bench.setPin('not the PIN')
    const first = startService(bench)
    expect(await first.opened()).toEqual(latched)
    await first.stop()
    await restartThrice(bench)
    expect(await bench.shim.count('C_Login')).toBe(1)
    expect(await soleLatch(bench)).toMatchObject({ reason: 'pin-refused' })
  })

  test('is tried once when the child is killed in C_Login', async () => {
    const bench = await openBench()
    await bench.setPin('not the PIN')
    await bench.shim.set({ on: 'C_Login', action: 'stall', argument: 60_000 })
    const first = startService(bench)
    await loginBegins(bench)
    for (const pid of await moduleHolders(bench)) process.kill(pid, 'SIGKILL')
    expect(await first.opened()).toEqual(latched)
    await first.stop()
    await bench.shim.set()
    await restartThrice(bench)
    expect(await bench.shim.count('C_Login')).toBe(1)
  })

  test('is tried once when the parent is killed in C_Login, and the child does not stay', async () => {
    const bench = await openBench()
    await bench.setPin('not the PIN')
    await bench.shim.set({ on: 'C_Login', action: 'stall', argument: 60_000 })
    const first = startService(bench)
    await loginBegins(bench)
    await first.kill()
    await restartThrice(bench)
    await bench.shim.set()
    await until(async () => (await moduleHolders(bench)).length === 0)
    expect(await bench.shim.count('C_Login')).toBe(1)
  })

  test('is tried once more for each unlatch', async () => {
    const bench = await openBench()
    await bench.setPin('not the PIN')
    const backend = bench.open()
    const signer = await backend.openSigner(bench.p)
    const { serial } = await soleLatch(bench)
    expect(describeHealth(backend.health())).toMatch(/keys unlatch$/)
    await unlatch(bench.latchDir, serial)
    await until(async () => (await bench.shim.count('C_Login')) === 2)
    await until(async () => (await listLatches(bench.latchDir))[0]?.reason === 'pin-refused')
    await until(() => backend.health()[0]?.state.kind === 'latched')
    await expect(signer.check(within(1_000))).rejects.toThrow(/keys unlatch/)
    await bench.setPin(bench.pin)
    await new Promise((resolve) => setTimeout(resolve, 700))
    expect(await bench.shim.count('C_Login')).toBe(2)
    await unlatch(bench.latchDir, serial)
    await until(async () => (await ask(signer, bench.p)) === 'signed')
    expect(await listLatches(bench.latchDir)).toEqual([])
    expect(describeHealth(backend.health())).toBeNull()
  })

  test('that comes in the middle of the work is tried once', async () => {
    const bench = await openBench()
    const signer = await bench.open().openSigner(bench.p)
    expect(await ask(signer, bench.p)).toBe('signed')
    await bench.setPin('changed to this')
    await bench.shim.set({ on: 'C_SignInit', action: 'logout', times: 1 })
    expect(await ask(signer, bench.p)).toBe('unavailable')
    await Promise.all(Array.from({ length: 10 }, async () => await ask(signer, bench.p)))
    await until(async () => (await soleLatch(bench)).reason === 'pin-refused')
    expect(await bench.shim.count('C_Login')).toBe(2)
  })
})

describe.skipIf(missing !== null)(`the right PIN (needs ${missing ?? 'nothing more'})`, () => {
  test.each(['child', 'parent'])('cut off by the death of the %s asks for unlatch', async (who) => {
    const bench = await openBench()
    await bench.shim.set({ on: 'C_Login', action: 'stall', argument: 60_000 })
    const first = startService(bench)
    await loginBegins(bench)
    if (who === 'parent') await first.kill()
    else for (const pid of await moduleHolders(bench)) process.kill(pid, 'SIGKILL')
    await bench.shim.set()
    const again = who === 'parent' ? startService(bench) : first
    expect(await again.opened()).toMatchObject({ message: expect.stringMatching(/keys unlatch/) })
    expect(await bench.shim.count('C_Login')).toBe(1)
    const { serial } = await soleLatch(bench)
    await unlatch(bench.latchDir, serial)
    await until(async () => (await bench.shim.count('C_Login')) === 2)
    await until(async () => {
      const answer = await again.sign()
      return answer?.kind === 'answer' && answer.answer === 'signed'
    })
  })

  test('is neither in the arguments nor in the environment of the child, nor in the latch', async () => {
    const bench = await openBench()
    await bench.shim.set({ on: 'C_Login', action: 'stall', argument: 1_000, times: 1 })
    const backend = bench.open()
    const opening = backend.openSigner(bench.p)
    await loginBegins(bench)
    const [pid] = await moduleHolders(bench)
    expect(pid).toBe(backend.childPids()[0])
    const places = ['cmdline', 'environ'].map((name) => `/proc/${pid}/${name}`)
    const [name] = await readdir(bench.latchDir)
    const latch = join(bench.latchDir, name ?? '')
    expect((await stat(latch)).mode & 0o777).toBe(0o600)
    for (const place of [...places, latch]) {
      expect(await readFile(place, 'utf8')).not.toContain(bench.pin)
    }
    expect(await soleLatch(bench)).toMatchObject({ reason: 'login-begun' })
    await opening
    expect(await listLatches(bench.latchDir)).toEqual([])
  })

  test('serves two services at once without a false latch', async () => {
    const bench = await openBench()
    await bench.shim.set({ on: 'C_Login', action: 'stall', argument: 400, times: 1 })
    const both = [bench.open(), bench.open()]
    const signers = await Promise.all(
      both.map(async (backend) => await backend.openSigner(bench.p)),
    )
    for (const signer of signers) {
      await until(async () => (await ask(signer, bench.p)) === 'signed')
    }
    expect(both.map(({ states }) => states)).not.toContainEqual(expect.arrayContaining(['latched']))
  })

  test('is waited for while C_Login hangs, and callers are told', async () => {
    const bench = await openBench()
    const limits = { callMs: 500, startMs: 1_500, patienceMs: 100 }
    await bench.shim.set({ on: 'C_Login', action: 'stall', argument: 2_500, times: 1 })
    const signer = await bench.open(limits).openSigner(bench.p)
    await until(async () => (await ask(signer, bench.p)) === 'unavailable')
    await until(async () => (await ask(signer, bench.p)) === 'signed')
    expect(await bench.shim.count('C_Login')).toBe(1)
    expect(await bench.shim.count('C_Initialize')).toBe(1)
  })

  test('is not cut off when a session fails during a login', async () => {
    const bench = await openBench()
    const signer = await bench.open({ callMs: 500 }).openSigner(bench.p)
    await bench.shim.set(
      { on: 'C_Login', action: 'stall', argument: 1_000, times: 1 },
      { on: 'C_SignInit', action: 'logout', times: 1 },
      { on: 'C_Sign', action: 'fail', argument: CKR.DEVICE_ERROR, times: 1 },
    )
    const answers = Array.from({ length: 8 }, async () => await ask(signer, bench.p))
    await Promise.all(answers)
    await until(async () => (await ask(signer, bench.p)) === 'signed')
    expect(await listLatches(bench.latchDir)).toEqual([])
  })
})

describe.skipIf(missing !== null)(`no PIN is tried (needs ${missing ?? 'nothing more'})`, () => {
  const CKF_USER_PIN_FINAL_TRY = 0x20000
  const CKF_USER_PIN_LOCKED = 0x40000

  test.each([
    ['one attempt is left', CKF_USER_PIN_FINAL_TRY, 'final-try'],
    ['it is locked', CKF_USER_PIN_LOCKED, 'pin-locked'],
  ])('when the token says that %s', async (_what, argument, reason) => {
    const bench = await openBench()
    await bench.shim.set({ on: 'C_GetTokenInfo', action: 'token-flags', argument })
    await bench.open().openSigner(bench.p)
    expect(await soleLatch(bench)).toMatchObject({ reason })
    expect(await bench.shim.count('C_Login')).toBe(0)
  })

  test('while the latch cannot be written', async () => {
    const bench = await openBench()
    await writeFile(bench.latchDir, 'a file in the place of the directory')
    const signer = await bench.open().openSigner(bench.p)
    expect(await ask(signer, bench.p)).toBe('unavailable')
    expect(await bench.shim.count('C_Login')).toBe(0)
  })

  test('beside a latch that is damaged', async () => {
    const bench = await openBench()
    await bench.setPin('not the PIN')
    await bench.open().openSigner(bench.p)
    const [name] = await readdir(bench.latchDir)
    await writeFile(join(bench.latchDir, name ?? ''), '{')
    await bench.open().openSigner(bench.p)
    expect(await bench.shim.count('C_Login')).toBe(1)
  })

  test.each([
    ['can be read by others', async (path: string) => await chmod(path, 0o640)],
    ['is empty', async (path: string) => await writeFile(path, '\n')],
    ['is no text', async (path: string) => await writeFile(path, Buffer.of(0x31, 0xff, 0x0a))],
    ['holds two lines', async (path: string) => await writeFile(path, '1234\n5678\n')],
  ])('from a file that %s', async (_what, change) => {
    const bench = await openBench()
    await change(bench.pinPath)
    await expect(bench.open().openSigner(bench.p)).rejects.toThrow(bench.pinPath)
    expect(await bench.shim.count('C_Login')).toBe(0)
  })

  test('from a file that is a directory', async () => {
    const bench = await openBench()
    const path = join(bench.dir, 'folder')
    await mkdir(path, { mode: 0o700 })
    const key = { ...bench.p, uri: bench.p.uri?.replace(bench.pinPath, path) ?? null }
    await expect(bench.open().openSigner(key)).rejects.toThrow(path)
  })
})

describe.skipIf(missing !== null)(`a login latches (needs ${missing ?? 'nothing more'})`, () => {
  test.each([
    ['PIN_LOCKED', 'pin-locked'],
    ['PIN_EXPIRED', 'pin-expired'],
    ['PIN_INCORRECT', 'pin-refused'],
    ['DEVICE_ERROR', 'login-failed'],
  ] as const)('that ends in CKR_%s', async (name, reason) => {
    const bench = await openBench()
    await bench.shim.set({ on: 'C_Login', action: 'fail', argument: CKR[name] })
    const backend = bench.open()
    const signer = await backend.openSigner(bench.p)
    expect(await soleLatch(bench)).toMatchObject({ reason, detail: `CKR_${name}` })
    expect(await ask(signer, bench.p)).toBe('unavailable')
    expect(backend.health()[0]?.state.kind).toBe('latched')
    expect(await bench.shim.count('C_Login')).toBe(1)
  })

  test('that never ends', async () => {
    const bench = await openBench()
    await bench.shim.set({ on: 'C_Login', action: 'stall', argument: 60_000 })
    const backend = bench.open({ loginMs: 400 })
    const signer = await backend.openSigner(bench.p)
    expect(await soleLatch(bench)).toMatchObject({ reason: 'login-failed', detail: 'no answer' })
    expect(await ask(signer, bench.p)).toBe('unavailable')
    expect(backend.health()[0]?.state.kind).toBe('latched')
    expect(await bench.shim.count('C_Login')).toBe(1)
  })

  test('that is under way when the service stops', async () => {
    const bench = await openBench()
    await bench.shim.set({ on: 'C_Login', action: 'stall', argument: 60_000 })
    const backend = bench.open({ closeMs: 300, startMs: 2_000 })
    const opening = backend.openSigner(bench.p)
    await loginBegins(bench)
    await backend.close()
    await opening
    expect(await soleLatch(bench)).toMatchObject({ reason: 'login-failed' })
    expect(await moduleHolders(bench)).toEqual([])
  })

  test('after which the PIN has expired in the middle of the work', async () => {
    const bench = await openBench()
    const signer = await bench.open().openSigner(bench.p)
    await bench.shim.set({ on: 'C_SignInit', action: 'fail', argument: CKR.PIN_EXPIRED, times: 1 })
    expect(await ask(signer, bench.p)).toBe('unavailable')
    await until(async () => (await listLatches(bench.latchDir)).length === 1)
    expect(await soleLatch(bench)).toMatchObject({ reason: 'pin-expired' })
    expect(await bench.shim.count('C_Login')).toBe(1)
  })
})
