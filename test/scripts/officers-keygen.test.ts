import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { openOfficerKey } from '../../scripts/online/officer-key.ts'
import { isAgeFile, sealWithPassphrase } from '../../scripts/offline/age.ts'
import { keygen as keygenCommand } from '../../scripts/online/officers/keygen.ts'
import { openTerminal } from '../../scripts/offline/terminal.ts'
import { preimageOf } from '../../src/approval/statement.ts'
import { encodeRecoverySecret } from '../../src/ceremony/secret-file.ts'
import { verifyWithAtproto } from '../../src/ecdsa/atproto.ts'
import { officerKeyFile, passphraseFile as passphraseOf } from '../support/officer-files.ts'
import { runCommand } from '../support/run-command.ts'
import { missingForPkcs11, openSoftHsm } from '../support/softhsm.ts'
import type { SoftHsm } from '../support/softhsm.ts'

const passphrase = 'a long enough passphrase'
const didOf = (text: string) => /Made (did:key:z\w{48})/.exec(text)?.[1] ?? ''
const statement = preimageOf(Uint8Array.of(0xa0))

let dir: string
let passphraseFile: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'holdfast-officer-'))
  passphraseFile = await privateFile('passphrase', `${passphrase}\n`)
})
afterAll(async () => await rm(dir, { recursive: true }))

async function privateFile(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(dir, name)
  await writeFile(path, content, { mode: 0o600 })
  return path
}

async function keygen(args: readonly string[], input = '') {
  return await runCommand(['officers', 'keygen', ...args], { cwd: dir, input, env: { HOME: dir } })
}

async function open(values: Parameters<typeof openOfficerKey>[0]) {
  const terminal = openTerminal()
  try {
    return await openOfficerKey(values, { usage: 'a test', terminal })
  } finally {
    terminal.close()
  }
}

describe('officers keygen --out', () => {
  test('seals a key under a passphrase that is typed twice; the roster gets its did:key', async () => {
    const ran = await keygen(['--out', 'alice.age'], `${passphrase}\n${passphrase}\n`)
    expect(ran.code).toBe(0)
    expect(didOf(ran.out)).toMatch(/^did:key:zDn/)
    expect(ran.out).toContain(`did: ${didOf(ran.out)}`)
    expect(`${ran.out}${ran.err}`).not.toContain(passphrase)
    const path = join(dir, 'alice.age')
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect(isAgeFile(await readFile(path))).toBe(true)

    const key = await open({ 'key-file': path, 'passphrase-file': passphraseFile })
    const signature = await key.sign(statement)
    expect(key.did).toBe(didOf(ran.out))
    expect(await verifyWithAtproto(key.did, statement, signature)).toBe(true)
    await key.close()
  })

  test('makes a K-256 key with a passphrase from a file, and says so as JSON', async () => {
    const ran = await keygen([
      '--out',
      'bob.age',
      '--curve',
      'K-256',
      '--passphrase-file',
      'passphrase',
      '--json',
    ])
    expect(JSON.parse(ran.out)).toEqual({
      did: expect.stringMatching(/^did:key:zQ3sh/),
      curve: 'K-256',
      keyFile: 'bob.age',
    })
    const key = await open({ 'key-file': join(dir, 'bob.age'), 'passphrase-file': passphraseFile })
    expect(await verifyWithAtproto(key.did, statement, await key.sign(statement))).toBe(true)
    await key.close()
  })

  test('never writes over a file', async () => {
    const path = await privateFile('there', 'something else')
    const ran = await keygen(['--out', 'there', '--passphrase-file', 'passphrase'])
    expect(ran).toMatchObject({ code: 1, out: '' })
    expect(ran.err).toContain('there: is there already')
    expect(await readFile(path, 'utf8')).toBe('something else')
  })

  test('refuses a short passphrase, and one that others can read', async () => {
    await privateFile('short', 'short')
    await writeFile(join(dir, 'open'), passphrase, { mode: 0o644 })
    for (const [file, says] of [
      ['short', '16 characters'],
      ['open', 'can be read by others'],
    ] as const) {
      const ran = await keygen(['--out', 'none.age', '--passphrase-file', file])
      expect(ran.code).toBe(1)
      expect(ran.err).toContain(says)
      await expect(stat(join(dir, 'none.age'))).rejects.toThrow('ENOENT')
    }
  })

  test.each([
    [[]],
    [['--out', 'a', '--token', 'pkcs11:token=T']],
    [['--out', 'a', '--label', 'x']],
    [['--token', 'pkcs11:token=T', '--passphrase-file', 'passphrase']],
    [['--out', 'a', '--curve', 'P-384']],
  ])('is told its usage for %j', async (args) => {
    await expect(keygenCommand(args)).rejects.toThrow('Usage: scripts/holdfast officers keygen')
  })
})

describe('an officer’s key', () => {
  let cheap: string
  let cheapPassphrase: string
  beforeAll(async () => {
    const folder = await mkdtemp(join(dir, 'cheap-'))
    cheap = await officerKeyFile(folder, 'alice')
    cheapPassphrase = await passphraseOf(folder)
  })

  test('signs nothing that is not a statement of our own: no PLC operation', async () => {
    const key = await open({ 'key-file': cheap, 'passphrase-file': cheapPassphrase })
    for (const bytes of [Uint8Array.of(0xa6, 0x64), Buffer.from('holdfast'), Buffer.alloc(0)]) {
      await expect(key.sign(bytes)).rejects.toThrow('nothing else')
    }
    await key.close()
  })

  test('does not open with another passphrase', async () => {
    const other = await privateFile('other', 'another long passphrase')
    await expect(open({ 'key-file': cheap, 'passphrase-file': other })).rejects.toThrow(
      `${cheap}: does not open with this passphrase`,
    )
  })

  test('is never a recovery key, nor anything else in a file of age', async () => {
    const secret = new Uint8Array(32).fill(7)
    const content = encodeRecoverySecret({ env: 'prod', curve: 'K-256', did: 'did:key:z', secret })
    const path = await privateFile('recovery.age', await sealWithPassphrase(passphrase, content))
    await expect(open({ 'key-file': path, 'passphrase-file': passphraseFile })).rejects.toThrow(
      'holds no key of an officer',
    )
  })
})

const missing = missingForPkcs11()
if (missing !== null && process.env['CI'] === 'true') throw new Error(`missing: ${missing}`)

describe.skipIf(missing !== null)('officers keygen --token', () => {
  let hsm: SoftHsm
  beforeAll(async () => {
    hsm = await openSoftHsm()
    for (const [name, value] of Object.entries({ ...hsm.environment, HOME: hsm.dir })) {
      vi.stubEnv(name, value)
    }
  })
  afterAll(async () => {
    vi.unstubAllEnvs()
    await hsm.close()
  })
  const onToken = async (args: readonly string[], uri = hsm.tokenUri()) =>
    await runCommand(['officers', 'keygen', '--token', uri, ...args], {
      env: { ...hsm.environment, HOME: hsm.dir },
    })

  test.each(['P-256', 'K-256'] as const)(
    'makes a %s key that signs there, and names it by URI',
    async (curve) => {
      const ran = await onToken(['--label', `officer ${curve}`, '--curve', curve])
      expect(ran).toMatchObject({ code: 0, err: '' })
      const uri = /--token '(pkcs11:\S+)'/.exec(ran.out)?.[1] ?? ''
      const key = await open({ token: uri })
      expect(key.did).toBe(didOf(ran.out))
      for (let turn = 0; turn < 3; turn += 1) {
        expect(await verifyWithAtproto(key.did, statement, await key.sign(statement))).toBe(true)
      }
      await expect(key.sign(Uint8Array.of(0xa6))).rejects.toThrow('nothing else')
      await key.close()
    },
  )

  test('leaves a key of that label as it is', async () => {
    const ran = await onToken(['--label', 'officer P-256'])
    expect(ran).toMatchObject({ code: 1, out: '' })
    expect(ran.err).toContain('is on the token already')
  })

  test('a wrong PIN is tried once, and the way out is named', async () => {
    await hsm.setPin('wrong')
    const uri = hsm.uri('object=officer%20P-256')
    await expect(open({ token: uri })).rejects.toThrow('scripts/ceremony unlatch')
    await hsm.setPin(hsm.pin)
    await expect(open({ token: uri })).rejects.toThrow('is latched')
  })
})
