import { afterEach, beforeEach, expect, test } from 'vitest'
import { openCustody } from '../support/custody.ts'
import type { Custody } from '../support/custody.ts'
import { renamed } from '../support/operations.ts'
import { failingSigner } from '../support/signers.ts'

// A rule may say how often it lets one identity change, whatever others do.

let custody: Custody

beforeEach(async () => {
  custody = await openCustody({
    policy: (shipped) =>
      shipped.replace(
        '        - services.other\n    require: none',
        '        - services.other\n    require: none\n    limits: { perDid: 2/1h }',
      ),
  })
})
afterEach(async () => {
  await custody.check()
  await custody.close()
})

/** Renames an account again and again, each time after its last operation. */
async function renamer(name: string) {
  let last = await custody.account(name)
  return {
    next: () => renamed(last, `${name}-again`),
    async rename(to: string) {
      last = await custody.signed(renamed(last, to))
      custody.directory.submit(last)
    },
  }
}

test('the third change within the hour is denied for this identity, and for no other', async () => {
  const [alice, bob] = [await renamer('alice'), await renamer('bob')]
  await alice.rename('a1')
  await bob.rename('b1')
  await alice.rename('a2')

  const third = await custody.sign(alice.next())
  expect(third).toMatchObject({ kind: 'denied', rule: 'ACCOUNT' })
  expect((third as { message: string }).message).toContain('(2 for one identity)')
  await bob.rename('b2')
  expect(custody.events.map((event) => event.kind === 'limit-alarm' && event.limit)).toEqual([
    { rule: 'ACCOUNT', per: 'did', used: 1, count: 2, alarm: true },
    { rule: 'ACCOUNT', per: 'did', used: 1, count: 2, alarm: true },
    { rule: 'ACCOUNT', per: 'did', used: 2, count: 2, alarm: true },
    { rule: 'ACCOUNT', per: 'did', used: 2, count: 2, alarm: true },
  ])
})

test('what failed is not counted, and an hour later it may change again', async () => {
  const alice = await renamer('alice')
  custody.bench.fault = failingSigner('key-unusable')
  for (let time = 0; time < 3; time += 1) {
    await expect(custody.sign(alice.next())).rejects.toThrow('fails')
  }
  custody.bench.fault = null
  await alice.rename('a1')
  await alice.rename('a2')
  expect(await custody.sign(alice.next())).toMatchObject({ kind: 'denied', rule: 'ACCOUNT' })

  await custody.pool.query(`update requests set intended_at = intended_at - interval '1 hour'`)
  custody.restart()
  expect(await custody.sign(renamed(await custody.account('carol'), 'c1'))).toMatchObject({
    kind: 'signed',
  })
  await alice.rename('a3')
})
