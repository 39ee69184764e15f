import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, describe, expect, test } from 'vitest'
import type { SignNowResult } from '../../src/custody/sign-now.ts'
import type { UnsignedOperation } from '../../src/plc/operation.ts'
import { crash, dryRun } from '../support/crash.ts'
import type { CrashOrder } from '../support/crash-child.ts'
import { openInstance } from '../support/instance.ts'
import type { Instance } from '../support/instance.ts'
import { ageSignature, endLeases } from '../support/moving-time.ts'
import { genesisOf, renamed } from '../support/operations.ts'
import { createTestDatabase } from '../support/postgres.ts'
import type { TestDatabase } from '../support/postgres.ts'

// kill -9 at every step boundary of a call, and a restart. A step is what leaves the process: each
// statement, the use of the key, a read of the directory, the answer. At each boundary two calls
// die: one is asked again with the same bytes, the other gets a rival on its prev.

const dataDir = await mkdtemp(join(tmpdir(), 'holdfast-crash-'))
afterAll(async () => await rm(dataDir, { recursive: true }))

/** An operation that the process dies of, and another one on its `prev`; null for a genesis. */
type Pair = { readonly operation: UnsignedOperation; readonly rival: UnsignedOperation | null }
type Prepare = (instance: Instance) => Promise<Pair[]>

const kinds: Record<string, Prepare> = {
  'a genesis': async ({ key }) => [{ operation: genesisOf('crash', [key.did]), rival: null }],
  'an update': async (instance) =>
    await Promise.all([update(instance, 'asked-again'), update(instance, 'rivalled')]),
  'an update that replaces another': async (instance) =>
    await Promise.all([replacement(instance, 'asked-again'), replacement(instance, 'rivalled')]),
}

async function update(instance: Instance, name: string): Promise<Pair> {
  const account = await instance.account(name)
  return { operation: renamed(account, `${name}-1`), rival: renamed(account, `${name}-2`) }
}

async function replacement(instance: Instance, name: string): Promise<Pair> {
  const account = await instance.account(name)
  const old = await instance.sign(renamed(account, `${name}-old`))
  if (old.kind !== 'signed') throw new Error(`not signed: ${old.kind}`)
  await ageSignature(instance, old.requestId, 61)
  return { operation: renamed(account, `${name}-1`), rival: renamed(account, `${name}-2`) }
}

type Boundary = { title: string; at: NonNullable<CrashOrder['dieAt']> }

/** The steps of an undisturbed call, by name. */
async function stepsOf(prepare: Prepare): Promise<string[]> {
  return await inDatabase(async (database) => {
    const { order } = await prepared(database, prepare)
    const [steps = []] = await dryRun(order)
    return steps
  })
}

function boundariesOf(steps: readonly string[]): Boundary[] {
  return steps.flatMap((name, step) => {
    const place = `${step + 1} of ${steps.length}, ${name}`
    const before = { title: `before step ${place}`, at: { step, when: 'before' as const } }
    if (name === 'answer') return [before]
    return [before, { title: `during step ${place}`, at: { step, when: 'during' as const } }]
  })
}

async function inDatabase<T>(work: (database: TestDatabase) => Promise<T>): Promise<T> {
  const database = await createTestDatabase()
  try {
    return await work(database)
  } finally {
    await database.drop()
  }
}

async function prepared(database: TestDatabase, prepare: Prepare) {
  const instance = await openInstance({ dataDir, databaseUrl: database.url })
  const pairs = await prepare(instance)
  const order = {
    dataDir,
    databaseUrl: database.url,
    jobs: pairs.map(({ operation }) => instance.jobOf(operation)),
  }
  await instance.close()
  return { pairs, order, directory: instance.directory, released: instance.released }
}

const updateSteps = await stepsOf(kinds['an update']!)

for (const [kind, prepare] of Object.entries(kinds)) {
  const boundaries = boundariesOf(await stepsOf(prepare))
  describe.concurrent(`kill -9 while ${kind} is signed`, () => {
    test.each(boundaries)('$title', { timeout: 120_000 }, async ({ at }) => {
      await inDatabase(async (database) => {
        const { pairs, order, directory, released } = await prepared(database, prepare)
        await crash({ ...order, dieAt: at })
        const instance = await openInstance({
          dataDir,
          databaseUrl: database.url,
          directory,
          released,
        })
        const [first, second] = pairs
        if (first !== undefined) await askAgain(instance, first.operation)
        if (second?.rival) await askRival(instance, second.operation, second.rival)
        expect(await instance.findings()).toEqual([])
        await instance.close()
      })
    })
  })
}

describe.concurrent('kill -9 with the key in hand, and nobody moves a lease', () => {
  test.each([
    { when: 'before', title: 'before its use' },
    { when: 'during', title: 'after its use' },
  ] as const)(
    '$title: both get through when its ten seconds are over',
    { timeout: 120_000 },
    ({ when }) =>
      inDatabase(async (database) => {
        const { pairs, order, ...left } = await prepared(database, kinds['an update']!)
        await crash({ ...order, dieAt: { step: updateSteps.indexOf('key'), when } })
        const instance = await openInstance({ dataDir, databaseUrl: database.url, ...left })
        const asked = [pairs[0]!.operation, pairs[1]!.rival!]
        const early = await Promise.all(
          asked.map(async (operation) => await instance.sign(operation)),
        )
        const waited = await Promise.all(
          asked.map(
            async (operation) => await patiently(async () => await instance.sign(operation)),
          ),
        )

        expect(early.map(({ kind }) => kind)).toEqual(['busy', 'denied'])
        for (const ms of waited) expect(ms).toBeLessThan(60_000)
        expect(await instance.findings()).toEqual([])
        await instance.close()
      }),
  )
})

/** How long it took until it was signed, in milliseconds. */
async function patiently(ask: () => Promise<SignNowResult>): Promise<number> {
  const begun = performance.now()
  while ((await ask()).kind !== 'signed') {
    if (performance.now() - begun > 60_000) throw new Error('never signed')
    await sleep(250)
  }
  return performance.now() - begun
}

/** The same bytes: the recorded signature, or the claim is finished as soon as its lease has ended. */
async function askAgain(instance: Instance, operation: UnsignedOperation): Promise<void> {
  const answer = await settled(instance, async () => await instance.sign(operation))

  expect(answer.kind).toBe('signed')
  expect(await instance.sign(operation)).toEqual(answer)
}

/** Other bytes: denied by what is on record, or signed as soon as a dead claim's lease has ended. */
async function askRival(
  instance: Instance,
  operation: UnsignedOperation,
  rival: UnsignedOperation,
): Promise<void> {
  const answer = await settled(instance, async () => await instance.sign(rival))
  const first = await instance.sign(operation)

  const kinds = [answer.kind, first.kind].toSorted()
  expect(kinds).toEqual(['denied', 'signed'])
  const denied = answer.kind === 'denied' ? answer : first
  const winner = answer.kind === 'signed' ? answer : first
  expect(denied).toMatchObject({ rule: 'PREV-ONE-LIVE-SIGNATURE' })
  expect((denied as { message: string }).message).toContain(
    winner.kind === 'signed' ? winner.requestId : '',
  )
}

/** What is answered when every dead claim's lease has ended: it never takes longer. */
async function settled(
  instance: Instance,
  ask: () => Promise<SignNowResult>,
): Promise<SignNowResult> {
  for (let attempt = 0; ; attempt += 1) {
    const answer = await ask()
    const waits =
      answer.kind === 'busy' ||
      (answer.kind === 'denied' && answer.message.includes('being signed'))
    if (!waits || attempt === 100) return answer
    // The dead process's last commit may still be on its way.
    await sleep(20)
    await endLeases(instance.pool)
  }
}
