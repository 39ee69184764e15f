import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openCustody } from '../support/custody.ts'
import type { Custody } from '../support/custody.ts'
import { renamed } from '../support/operations.ts'
import type { Signed } from '../support/operations.ts'

// Facts are drawn from stored bytes, and only from those whose hash is the CID that was asked for.

let custody: Custody
let account: Signed
let serial = 0

beforeAll(async () => {
  custody = await openCustody()
})
beforeEach(async () => {
  account = await custody.account(`stored-${(serial += 1)}`)
  custody.bench.uses = 0
})
afterAll(async () => await custody.close())

const find = async (cid: string) => await custody.deps.store.findOperation(cid)

test('an operation is found by its CID, with whose it is and since when', async () => {
  expect(await find(account.cid)).toMatchObject({
    did: account.did,
    cid: account.cid,
    operation: account.operation,
    owner: 'pds',
    nullified: false,
    ours: true,
  })
})

test('an unknown CID is null', async () => {
  expect(await find('bafyreiaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')).toBeNull()
})

test('a hundred asked for at once are each answered as alone', async () => {
  const others = await Promise.all(
    Array.from({ length: 9 }, async () => await custody.account(`stored-${(serial += 1)}`)),
  )
  const all = [account, ...others]
  const asked = Array.from({ length: 100 }, (_, n) => all[n % all.length]!)
  const found = await Promise.all(asked.map(async ({ cid }) => await find(cid)))

  expect(found.map((previous) => previous?.did)).toEqual(asked.map(({ did }) => did))
})

describe('a row that was tampered with does not speak for its CID', () => {
  const changes: Record<string, string> = {
    'a bit flipped': 'set_byte(bytes, 150, get_byte(bytes, 150) # 1)',
    'a byte added': `bytes || '\\x00'`,
    'a byte cut off': 'substr(bytes, 1, length(bytes) - 1)',
    'no bytes': `''`,
    'bytes of another operation': `(select bytes from operations other where other.cid <> operations.cid limit 1)`,
  }

  test.each(Object.entries(changes))('%s: nothing is signed', async (_name, change) => {
    await custody.outside.query(`update operations set bytes = ${change} where cid = $1`, [
      account.cid,
    ])

    await expect(find(account.cid)).rejects.toMatchObject({
      name: 'StoreError',
      code: 'row-tampered',
      message: expect.stringContaining(account.cid),
    })
    await expect(custody.sign(renamed(account, 'tampered'))).rejects.toMatchObject({
      code: 'row-tampered',
    })
    expect(custody.bench.uses).toBe(0)
  })

  test('and the look-ups beside it are answered all the same', async () => {
    const other = await custody.account(`stored-${(serial += 1)}`)
    await custody.outside.query(`update operations set bytes = '' where cid = $1`, [account.cid])
    const answers = await Promise.allSettled([find(other.cid), find(account.cid), find(other.cid)])

    expect(answers.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  })
})
