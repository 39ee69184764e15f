import { randomBytes } from 'node:crypto'
import { readFile, readdir, stat, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parsePossession } from '../../src/ceremony/possession.ts'
import { parseRecoveryKeyRecord } from '../../src/ceremony/recovery-key.ts'
import { verifyDocument } from '../../scripts/offline/keys/possession.ts'
import { openCustodians } from '../support/custodians.ts'
import type { CustodiansHome } from '../support/custodians.ts'

// The drill of a recovery key: it is opened as for a recovery, and what it signs says what it is for.

const passphrase = 'a long enough passphrase'
const challenge = randomBytes(32).toString('hex')

let home: CustodiansHome
beforeAll(async () => {
  home = await openCustodians(3)
  const shares = ['--threshold', '2', '--custodians', home.custodians, '--out', 'shares']
  await home.run(['keygen', '--env', 'prod', ...shares])
  const input = `${passphrase}\n${passphrase}\n`
  for (const env of ['prod', 'rehearsal']) {
    const args = ['keygen', '--env', env, '--passphrase', '--out', env]
    await home.run(args, { input })
  }
})
afterAll(async () => await home.close())

const fileArgs = (folder: string) => [
  '--record',
  `${folder}/recovery-key.json`,
  '--key-file',
  `${folder}/recovery-key.age`,
]
const shareArgs = (...of: string[]) => [
  '--record',
  'shares/recovery-key.json',
  '--dealing',
  'shares/dealing.json',
  ...of.flatMap((id) => ['--share', home.share(id, 'shares'), '--identity', home.identity(id)]),
]

const prove = async (out: string, args: readonly string[], env = 'prod') =>
  await home.run(['prove', '--env', env, '--out', out, '--challenge', challenge, ...args], {
    input: `${passphrase}\n`,
  })

const check = async (file: string, folder: string, ...args: string[]) =>
  await home.run(['check-proof', ...args, '--record', `${folder}/recovery-key.json`, file])

describe('a recovery key proves that it is there', () => {
  test('from its file', async () => {
    expect(await prove('file.json', fileArgs('prod'))).toMatchObject({ code: 0 })
    expect((await stat(home.path('file.json'))).mode & 0o777).toBe(0o400)
    const checked = await check('file.json', 'prod', '--env', 'prod', '--challenge', challenge)
    expect(checked).toMatchObject({ code: 0, err: '' })
    expect(checked.out).toContain(`signed the challenge ${challenge}`)
  })

  test.each([
    ['anna', 'ben'],
    ['cleo', 'anna'],
    ['ben', 'cleo', 'anna'],
  ])('from the shares of %s and %s', async (...of) => {
    const out = `${of.join('-')}.json`
    expect(await prove(out, shareArgs(...of))).toMatchObject({ code: 0 })
    expect((await check(out, 'shares', '--env', 'prod')).code).toBe(0)
  })
})

describe('refused', () => {
  test('one share alone', async () => {
    const { code, err } = await prove('none.json', shareArgs('anna'))
    expect(code).toBe(1)
    expect(err).toContain('SHARE_BELOW_THRESHOLD: have 1 share, need 2; still to come: ben, cleo')
    expect(await readdir(home.dir)).not.toContain('none.json')
  })

  test('a proof that is there already is left', async () => {
    const { code, err } = await prove('file.json', fileArgs('prod'))
    expect(code).toBe(1)
    expect(err).toContain('file.json: is there already')
  })

  test("a rehearsal key's signature as a real one, and a real one as a rehearsal's", async () => {
    expect((await prove('drill.json', fileArgs('rehearsal'), 'rehearsal')).code).toBe(0)
    const own = await check('drill.json', 'rehearsal', '--env', 'rehearsal')
    expect(own.code).toBe(0)
    for (const [file, folder, env] of [
      ['drill.json', 'rehearsal', 'prod'],
      ['drill.json', 'prod', 'prod'],
      ['file.json', 'prod', 'rehearsal'],
      ['file.json', 'rehearsal', 'rehearsal'],
    ] as const) {
      const { code, err } = await check(file, folder, '--env', env)
      expect({ file, folder, env, code }).toEqual({ file, folder, env, code: 1 })
      expect(err).toMatch(/rehearsal/)
    }
  })

  test("a rehearsal's signature that was written over as a real one, though the key is the same", async () => {
    const text = await readFile(home.path('drill.json'), 'utf8')
    await writeFile(home.path('edited.json'), text.replace('"env": "rehearsal"', '"env": "prod"'))
    const record = await readFile(home.path('rehearsal/recovery-key.json'), 'utf8')
    await writeFile(
      home.path('edited-record.json'),
      record.replace('"env": "rehearsal"', '"env": "prod"'),
    )
    const args = ['check-proof', '--env', 'prod', '--record', 'edited-record.json', 'edited.json']
    const { code, err } = await home.run(args)
    expect(code).toBe(1)
    expect(err).toContain('edited-record.json: was not signed by')
    const edited = parsePossession(await readFile(home.path('edited.json'), 'utf8'), 'edited.json')
    await expect(verifyDocument(edited, 'edited.json')).rejects.toThrow('or was changed since')
  })

  test('to open the key of a rehearsal in earnest', async () => {
    const { code, err } = await prove('none.json', fileArgs('rehearsal'))
    expect(code).toBe(1)
    expect(err).toContain('is a key for rehearsal; this is prod')
  })

  test('another challenge than the one that was asked', async () => {
    const other = randomBytes(32).toString('hex')
    const { code, err } = await check('file.json', 'prod', '--env', 'prod', '--challenge', other)
    expect(code).toBe(1)
    expect(err).toContain(`${other} is asked for`)
  })

  test('a proof of another key', async () => {
    const { code, err } = await check('file.json', 'shares', '--env', 'prod')
    expect(code).toBe(1)
    expect(err).toContain('file.json: did is')
  })

  test('any one bit changed in a proof or in the record of a key, by name', async () => {
    for (const file of ['file.json', 'prod/recovery-key.json']) {
      const bytes = await readFile(home.path(file))
      let refused = 0
      for (let bit = 0; bit < 8 * bytes.length; bit += 1) {
        const changed = Buffer.from(bytes)
        changed[bit >> 3]! ^= 1 << (bit & 7)
        const error = await readDocument(changed.toString('utf8')).catch((thrown: Error) => thrown)
        if (error instanceof Error && error.message.startsWith('the file: ')) refused += 1
      }
      expect(refused).toBe(8 * bytes.length)
    }
  }, 120_000)

  test.each([
    ['a challenge that is none', ['--env', 'prod', '--challenge', 'abc', ...fileArgs('prod')]],
    ['no key', ['--env', 'prod', '--record', 'prod/recovery-key.json']],
    ['two keys', ['--env', 'prod', ...fileArgs('prod'), '--share', 'x']],
    ['an identity without a share', ['--env', 'prod', ...fileArgs('prod'), '--identity', 'x']],
  ])('%s: exit 2', async (_what, args) => {
    expect((await home.run(['prove', '--out', 'none.json', ...args])).code).toBe(2)
  })
})

async function readDocument(text: string): Promise<void> {
  const parse = text.includes('"source"') ? parseRecoveryKeyRecord : parsePossession
  await verifyDocument(parse(text, 'the file'), 'the file')
}
