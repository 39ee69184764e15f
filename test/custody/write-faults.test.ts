import { isDeepStrictEqual } from 'node:util'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { signingBytes } from '../../src/plc/encode.ts'
import type { UnsignedOperation } from '../../src/plc/operation.ts'
import { idOf, openCustody } from '../support/custody.ts'
import type { Custody } from '../support/custody.ts'
import { ageSignature, endLeases } from '../support/moving-time.ts'
import { genesisOf, renamed } from '../support/operations.ts'
import { cutConnection } from '../support/watched-pool.ts'
import type { Statement, Watch } from '../support/watched-pool.ts'

// Every write fails in two ways: not done, and done but told failed. Each statement of a call is
// taken in turn, the commits among them; the network takes part.

let custody: Custody
let serial = 0

beforeAll(async () => {
  custody = await openCustody()
})
afterEach(async () => await custody.check())
afterAll(async () => await custody.close())

const told = () => new Error('the test lost the answer')

const modes: Record<string, (strike: () => boolean) => Watch> = {
  'is not done': (strike) => ({
    before: () => {
      if (strike()) throw told()
    },
  }),
  'is done, but told failed': (strike) => ({
    after: () => {
      if (strike()) throw told()
    },
  }),
  'loses its connection first': (strike) => ({
    before: ({ client }) => {
      if (strike()) cutConnection(client)
    },
  }),
  'is done, and its connection is lost': (strike) => ({
    after: ({ client }) => {
      if (!strike()) return
      cutConnection(client)
      throw told()
    },
  }),
}

/** What is asked for, on an identity of its own each time. */
const cases: Record<string, () => Promise<UnsignedOperation>> = {
  'a genesis': async () => genesisOf(`write-${(serial += 1)}`, [custody.key.did]),
  'an update': async () => {
    const account = await custody.account(`write-${(serial += 1)}`)
    return renamed(account, `write-${serial}-next`)
  },
  'an update that replaces another': async () => {
    const account = await custody.account(`write-${(serial += 1)}`)
    const old = idOf(await custody.sign(renamed(account, `write-${serial}-old`)))
    await ageSignature(custody, old, 61)
    return renamed(account, `write-${serial}-next`)
  },
  'an update that is denied': async () => {
    const account = await custody.account(`write-${(serial += 1)}`)
    return { ...renamed(account, 'denied'), rotationKeys: [] }
  },
}

describe.each(Object.entries(cases))('%s', (_name, begin) => {
  test.each(Object.entries(modes))('every statement %s once', async (_mode, watchFor) => {
    const statements = await statementsOf(begin)
    expect(statements.length).toBeGreaterThan(3)
    for (const [position, name] of statements.entries()) {
      const operation = await begin()
      custody.bench.uses = 0
      const struck = await strikeAt(position, watchFor, async () => await custody.sign(operation))
      const found = await recovered(operation)
      expect({ name, struck, ...found }).toEqual({ name, struck: true, wrong: [] })
      expect(custody.bench.uses).toBeLessThanOrEqual(2)
    }
  })
})

test.each(Object.entries(modes))(
  'four calls at once, and every statement of theirs %s once: each has its one signature',
  async (_mode, watchFor) => {
    const accounts = await Promise.all(
      Array.from({ length: 4 }, async () => await custody.account(`crowd-${(serial += 1)}`)),
    )
    for (let position = 0; position < 7; position += 1) {
      const operations = accounts.map((account) => renamed(account, `crowd-${position}`))
      await strikeAt(position, watchFor, async () => {
        await Promise.allSettled(operations.map(async (operation) => await custody.sign(operation)))
      })
      for (const operation of operations) {
        expect({ position, ...(await recovered(operation)) }).toMatchObject({ position, wrong: [] })
      }
      await custody.pool
        .query(`update requests set produced_at = produced_at - interval '61 seconds',
        intended_at = intended_at - interval '61 seconds'`)
      custody.restart()
    }
  },
)

/** The statements of an undisturbed call, by name. */
async function statementsOf(begin: () => Promise<UnsignedOperation>): Promise<string[]> {
  const operation = await begin()
  const names: string[] = []
  Object.assign(custody.watch, { before: ({ name }: Statement) => void names.push(name) })
  await custody.sign(operation)
  delete custody.watch.before
  return names
}

/** @returns whether the call came as far as that statement */
async function strikeAt(
  position: number,
  watchFor: (strike: () => boolean) => Watch,
  call: () => Promise<unknown>,
): Promise<boolean> {
  let seen = -1
  const strike = () => {
    seen += 1
    return seen === position
  }
  Object.assign(custody.watch, watchFor(strike))
  await call().catch(() => {})
  delete custody.watch.before
  delete custody.watch.after
  return seen >= position
}

/** The same bytes again, at once and when the lease has ended: one signature or one denial. */
async function recovered(operation: UnsignedOperation): Promise<{ wrong: string[] }> {
  const atOnce = await custody.sign(operation)
  await endLeases(custody.pool)
  const later = await custody.sign(operation)
  const again = await custody.sign(operation)
  const { rows } = await custody.pool.query<{ state: string }>(
    `select state from requests where digest = sha256($1) and state <> 'failed'`,
    [Buffer.from(signingBytes(operation))],
  )
  const states = rows.map(({ state }) => state).join()
  const holds = {
    'is answered at once': ['signed', 'busy', 'denied'].includes(atOnce.kind),
    'is answered for good when the lease has ended': ['signed', 'denied'].includes(later.kind),
    'was not answered otherwise before': atOnce.kind === 'busy' || isDeepStrictEqual(atOnce, later),
    'is answered alike ever after': isDeepStrictEqual(again, later),
    'is one request': states === (later.kind === 'signed' ? 'returned' : 'denied'),
  }
  return { wrong: Object.entries(holds).flatMap(([line, held]) => (held ? [] : [line])) }
}
