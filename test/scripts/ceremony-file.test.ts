import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openCustodians } from '../support/custodians.ts'
import type { CustodiansHome } from '../support/custodians.ts'

const passphrase = 'a long enough passphrase'
const didOf = (text: string) => /PDS_RECOVERY_DID_KEY=(\S+)/.exec(text)?.[1] ?? ''

let home: CustodiansHome
let did: string
beforeAll(async () => {
  home = await openCustodians(2)
  did = didOf((await keygen('key', `${passphrase}\n${passphrase}\n`)).out)
})
afterAll(async () => await home.close())

const keygen = async (out: string, input: string, env = 'prod') =>
  await home.run(['keygen', '--env', env, '--passphrase', '--out', out], { input })

const split = async (out: string, input: string, keyFile = 'key/recovery-key.age', env = 'prod') =>
  await home.run(
    ['split', '--env', env, '--record', 'key/recovery-key.json', '--key-file', keyFile].concat([
      '--threshold',
      '2',
      '--custodians',
      home.custodians,
      '--out',
      out,
    ]),
    { input },
  )

describe('keygen --passphrase', () => {
  test('seals the key under the passphrase; nothing of either is printed', async () => {
    const ran = await keygen('second', `${passphrase}\r\n${passphrase}\r\n`)
    expect(ran.code).toBe(0)
    expect(didOf(ran.out)).toMatch(/^did:key:zQ3sh/)
    expect(`${ran.out}${ran.err}`).not.toContain(passphrase)
    expect(await readdir(home.path('second'))).toEqual(['recovery-key.age', 'recovery-key.json'])
  })

  test.each([
    ['a short one', 'short\nshort\n', '16 characters'],
    ['two that differ', `${passphrase}\n${passphrase}x\n`, 'not the same'],
    ['none at all', '', 'standard input has ended'],
  ])('refuses %s: nothing is written', async (_what, input, says) => {
    const { code, out, err } = await keygen('none', input)
    expect({ code, out }).toEqual({ code: 1, out: '' })
    expect(err).toContain(says)
    expect(await readdir(home.dir)).not.toContain('none')
  })

  test('makes a passphrase for whoever has none, asks for it again, and does not echo it', async () => {
    const program = fileURLToPath(new URL('../../scripts/ceremony.ts', import.meta.url))
    const command = `'${process.execPath}' '${program}' keygen --env rehearsal --passphrase --out made`
    const child = spawn('script', ['-qefc', command, '/dev/null'], {
      cwd: home.dir,
      env: { PATH: process.env['PATH'] ?? '', HOME: home.dir, TERM: 'dumb' },
    })
    let seen = ''
    let answered = 0
    child.stdout.on('data', (chunk: Buffer) => {
      seen += chunk.toString('utf8')
      const made = /^ {2}([a-z]+(?:-[a-z]+){9})\s*$/m.exec(seen)?.[1]
      if (answered === 0 && seen.includes('Passphrase of the new key')) {
        answered = 1
        child.stdin.write('\r')
      } else if (answered === 1 && made !== undefined && seen.includes('The same again')) {
        answered = 2
        // A slip of the finger and its correction.
        child.stdin.write(`x\u007f${made}\r`)
      }
    })
    const code = await new Promise((resolve) => child.once('close', resolve))
    expect({ code, answered }).toEqual({ code: 0, answered: 2 })
    expect(seen).toContain('PDS_RECOVERY_DID_KEY=')
    expect(seen.match(/[a-z]+(-[a-z]+){9}/g)).toHaveLength(1)
  })
})

describe('split --key-file FILE', () => {
  test('gives shares of the same key', async () => {
    const ran = await split('shares', `${passphrase}\n`)
    expect(ran.code).toBe(0)
    expect(didOf(ran.out)).toBe(did)
    const shares = home.names.flatMap((id) => [
      '--share',
      home.share(id, 'shares'),
      '--identity',
      home.identity(id),
    ])
    const order = ['--threshold', '2', '--custodians', home.custodians, '--out', 'shares2']
    const record = ['--record', 'key/recovery-key.json']
    const again = await home.run(['split', '--env', 'prod', ...record, ...order, ...shares])
    expect(didOf(again.out)).toBe(did)
  })

  test('refuses another passphrase', async () => {
    const { code, err } = await split('none', 'another passphrase\n')
    expect(code).toBe(1)
    expect(err).toContain('key/recovery-key.age: does not open with this passphrase')
  })

  test('refuses a file with one bit changed', async () => {
    const sealed = await readFile(home.path('key/recovery-key.age'))
    sealed[sealed.length - 20]! ^= 0x10
    await writeFile(home.path('changed.age'), sealed)
    const { code, err } = await split('none', `${passphrase}\n`, 'changed.age')
    expect(code).toBe(1)
    expect(err).toContain('changed.age: is damaged')
  })

  test('refuses the key of a rehearsal, even with a record that says it is real', async () => {
    const rehearsal = await keygen('rehearsal', `${passphrase}\n${passphrase}\n`, 'rehearsal')
    expect(rehearsal.code).toBe(0)
    const wrong = await split('none', `${passphrase}\n`, 'rehearsal/recovery-key.age')
    expect(wrong.code).toBe(1)
    expect(wrong.err).toContain('is a key for rehearsal; this is prod')
    const asked = await split('none', `${passphrase}\n`, undefined, 'rehearsal')
    expect(asked.err).toContain('is a key for prod; this is rehearsal')
  })

  test('refuses another key than the one in the record', async () => {
    const other = await keygen('other', `${passphrase}\n${passphrase}\n`)
    const { code, err } = await split('none', `${passphrase}\n`, 'other/recovery-key.age')
    expect(code).toBe(1)
    expect(err).toContain(`holds ${didOf(other.out)}, but ${did} is pinned`)
  })

  test('refuses a record that was changed', async () => {
    const record = await readFile(home.path('key/recovery-key.json'), 'utf8')
    const nonce = /"nonce": "(\w+)"/.exec(record)?.[1] ?? ''
    await writeFile(
      home.path('forged.json'),
      record.replace(nonce, randomBytes(32).toString('hex')),
    )
    const sources = ['--key-file', 'key/recovery-key.age', '--custodians', home.custodians]
    const order = ['--threshold', '2', '--out', 'none', '--record', 'forged.json']
    const { code, err } = await home.run(['split', '--env', 'prod', ...order, ...sources])
    expect(code).toBe(1)
    expect(err).toContain('forged.json: was not signed by')
  })
})

test('a passphrase as an argument is refused, and not repeated', async () => {
  const args = ['keygen', '--env', 'prod', '--out', 'none', `--passphrase=${passphrase}`]
  const { code, out, err } = await home.run(args)
  expect({ code, out }).toEqual({ code: 2, out: '' })
  expect(err).not.toContain(passphrase)
})
