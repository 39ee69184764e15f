import { readFile, rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openBundle } from '../../src/bundle/open.ts'
import { intentDigest } from '../../src/recovery/intent.ts'
import { digestWords } from '../../src/words/words.ts'
import { openCustodians } from '../support/custodians.ts'
import type { CustodiansHome } from '../support/custodians.ts'
import {
  cardOf,
  makeAccount,
  purposeOf,
  recoveryKeys,
  soloPolicies,
  writeBundle,
} from '../support/recovery.ts'
import type { Keys } from '../support/recovery.ts'

// From a bundle to a verified result, as the operators of a ceremony type it.

const preload = fileURLToPath(new URL('../support/die-at-write.mjs', import.meta.url))
const passphrase = 'a long enough passphrase'
const policies = await soloPolicies()

let home: CustodiansHome
let keys: Keys
let words: string
beforeAll(async () => {
  home = await openCustodians(3)
  const made = await home.run(['keygen', '--env', 'prod', '--passphrase', '--out', 'key'], {
    input: `${passphrase}\n${passphrase}\n`,
  })
  const did = /PDS_RECOVERY_DID_KEY=(\S+)/.exec(made.out)?.[1] ?? ''
  const known = await recoveryKeys()
  // Its private half is in the file alone; what it would have signed before is signed by others here.
  keys = { ...known, recovery: { ...known.recovery, did } }
  const order = ['--threshold', '2', '--custodians', home.custodians, '--out', 'split']
  await home.run(['split', '--env', 'prod', ...keyFile, ...order], { input: `${passphrase}\n` })
  words = await bundleOf('bundle')
  await writeFile(home.path('card.yaml'), cardOf((await openBundle(home.path('bundle'))).intent))
})
afterAll(async () => await home.close())

const kinds = ['plain', 'renamed', 'user-above', 'legacy', 'tombstoned', 'no-recovery'] as const

/** @returns the words that the plan printed */
async function bundleOf(name: string, ceremony = '00112233445566778899aabbccddeeff') {
  const accounts = await Promise.all(
    kinds.flatMap((kind, index) =>
      [0, 1, 2].map(async (copy) => await makeAccount(kind, 10 * index + copy, keys)),
    ),
  )
  const purpose = purposeOf(keys, policies, { ceremony })
  const intent = await writeBundle(home.path(name), accounts, { keys, policies, purpose })
  return digestWords(intentDigest(intent), 8).join(' ')
}

const trust = ['--trust', 'card.yaml']
const keyFile = ['--record', 'key/recovery-key.json', '--key-file', 'key/recovery-key.age']
const shares = () => {
  const [anna, cleo] = ['anna', 'cleo'] as const
  const record = ['--record', 'split/recovery-key.json']
  const files = ['--share', home.share(anna, 'split'), '--share', home.share(cleo, 'split')]
  return record.concat(files, '--identity', home.identity(anna), '--identity', home.identity(cleo))
}

const sign = async (
  out: string,
  options: {
    typed?: string
    dieAt?: number
    bundle?: string
    key?: string[]
    args?: string[]
  } = {},
) => {
  const { typed = words, dieAt, bundle = 'bundle', key = shares(), args = [] } = options
  return await home.run(['sign', ...trust, ...key, '--out', out, ...args, bundle], {
    input: `${typed}\n${passphrase}\n`,
    ...(dieAt === undefined
      ? {}
      : { flags: ['--import', preload], env: { DIE_AT: String(dieAt) } }),
  })
}

describe('ceremony inspect', () => {
  test('shows totals, who is lost, and operations in full; no key is asked for', async () => {
    const { code, out } = await home.run(['inspect', ...trust, 'bundle', '--sample', '2'])
    expect(code).toBe(0)
    expect(out).toContain('18 accounts:')
    expect(out).toContain('12 get the new key in the place of the lost one')
    expect(out).toMatch(/3 get nothing: .* CANNOT SAVE them \(recovery-key-not-listed\)/)
    expect(out.match(/REMOVE rotation key at/g)).toHaveLength(2)
    expect(out).toContain('the policies ask for nobody’s approval')
  })

  test('draws the same sample for the same dice', async () => {
    const drawn = async (dice: string) =>
      (await home.run(['inspect', ...trust, 'bundle', '--dice', dice])).out
    expect(await drawn('6 3 1')).toBe(await drawn('6 3 1'))
    expect(await drawn('6 3 1')).not.toBe(await drawn('2 2 5'))
  })

  test('refuses without a trust card', async () => {
    const { code, err } = await home.run(['inspect', 'bundle'])
    expect(code).toBe(2)
    expect(err).toContain('--trust FILE')
  })

  test('tells machines the same', async () => {
    const { out } = await home.run(['inspect', ...trust, 'bundle', '--json'])
    expect(JSON.parse(out)).toMatchObject({
      accounts: 18,
      operations: { count: 12 },
      excluded: { tombstoned: 3, 'recovery-key-not-listed': 3 },
      approvedBy: [],
    })
  })
})

describe('ceremony sign', () => {
  test('signs what follows from the bundle, and verify agrees in the same words', async () => {
    const signed = await sign('result')
    expect(signed.err).toContain('Words 1 to 8 of the intent')
    expect(signed.code).toBe(0)
    const result = await readFile(home.path('result'), 'utf8')
    expect(result.split('\n')).toHaveLength(1 + 12 + 1 + 1)
    const verified = await home.run(['verify', ...trust, 'bundle', 'result'])
    expect(verified.code).toBe(0)
    expect(verified.out).toContain('all 12 operations, each with its signature')
    expect(tableIn(verified.out)).toBe(tableIn(signed.out))
  })

  test('on another machine it gives the same bytes', async () => {
    expect((await sign('again')).code).toBe(0)
    expect(await readFile(home.path('again'))).toEqual(await readFile(home.path('result')))
  })

  test('signs nothing when the words are another bundle’s', async () => {
    const other = await bundleOf('other', 'ffeeddccbbaa99887766554433221100')
    const { code, err } = await sign('none', { typed: other })
    expect(code).toBe(1)
    expect(err).toMatch(/word 1 is another one: this is not the intent that was printed/)
    await expect(readFile(home.path('none'))).rejects.toThrow('ENOENT')
  })

  test('overwrites nothing', async () => {
    const before = await readFile(home.path('result'))
    const { code, err } = await sign('result')
    expect({ code, err }).toEqual({
      code: 1,
      err: 'result: is there already; nothing was signed\n',
    })
    expect(await readFile(home.path('result'))).toEqual(before)
  })

  test('killed at any of its writes it goes on, to the same bytes', async () => {
    const undisturbed = await sign('counted', { dieAt: 0 })
    const writes = Number(/writes: (\d+)/.exec(undisturbed.err)?.[1])
    expect(writes).toBeGreaterThan(8)
    const whole = await readFile(home.path('result'))
    for (let at = 1; at <= writes; at += 1) {
      const out = `killed-${at}`
      expect((await sign(out, { dieAt: at })).code).toBeNull()
      // After its last write but one the result is there, and a second run says just that.
      const { err } = await sign(out)
      expect(err).toMatch(/Words 1 to 8|is there already/)
      expect(await readFile(home.path(out)), `write ${at}`).toEqual(whole)
    }
  }, 120_000)

  test('refuses a journal of another ceremony, and one in which a signature was changed', async () => {
    await bundleOf('third', '0123456789abcdef0123456789abcdef')
    await rm(home.path('again'))
    await writeFile(home.path('again.journal'), await readFile(home.path('result.journal')))
    const third = digestWords(intentDigest((await openBundle(home.path('third'))).intent), 8)
    const other = await sign('again', { bundle: 'third', typed: third.join(' ') })
    expect(other.err).toContain('again.journal: is of another ceremony')
    const journal = await readFile(home.path('result.journal'), 'utf8')
    const swapped = journal.replace(
      /(signed \S+ \S+ )(\S)/,
      (_all, start: string, first: string) => `${start}${first === 'A' ? 'B' : 'A'}`,
    )
    await writeFile(home.path('again.journal'), swapped)
    const changed = await sign('again')
    expect(changed.code).toBe(1)
    expect(changed.err).toMatch(/did:plc:\S+: the signature is not one of its operation/)
  })

  test('takes the key from its file under a passphrase as well', async () => {
    const signed = await sign('by-file', { key: keyFile })
    expect(signed.code).toBe(0)
    expect(await readFile(home.path('by-file'))).toEqual(await readFile(home.path('result')))
    expect(`${signed.out}${signed.err}`).not.toContain(passphrase)
  })
})

test('ceremony verify names the account whose signature is another', async () => {
  const lines = (await readFile(home.path('result'), 'utf8')).split('\n')
  const [, first, second] = lines
  const swapped = [lines[0]!, second!, first!, ...lines.slice(3)]
  await writeFile(home.path('swapped'), swapped.join('\n'))
  const { code, err } = await home.run(['verify', ...trust, 'bundle', 'swapped'])
  expect(code).toBe(1)
  expect(err).toContain(first!.split(' ')[0])
})

function tableIn(out: string): string {
  return out.slice(out.indexOf(' 1. '))
}
