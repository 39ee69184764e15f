import { readFile, readdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { checkKey } from '../../src/signer/pkcs11/admin.ts'
import { pinFromFile } from '../../src/signer/pkcs11/pin-file.ts'
import { parseTokenUri } from '../../src/signer/pkcs11/uri.ts'
import { runCeremony } from '../support/run-command.ts'
import { missingForPkcs11, openSoftHsm } from '../support/softhsm.ts'
import type { SoftHsm } from '../support/softhsm.ts'

const missing = missingForPkcs11()
const cache = { NODE_COMPILE_CACHE: join(tmpdir(), 'holdfast-compile-cache') }
const preload = fileURLToPath(new URL('../support/die-at-write.mjs', import.meta.url))

describe.skipIf(missing !== null)(`keygen --token (needs ${missing ?? 'nothing more'})`, () => {
  let hsm: SoftHsm
  beforeAll(async () => {
    hsm = await openSoftHsm()
  })
  afterAll(async () => await hsm.close())

  const prompted = () => `pkcs11:token=T?module-path=${hsm.shim.modulePath}`

  async function keygen(
    out: string,
    args: readonly string[] = [],
    input = '',
    uri = hsm.tokenUri(),
    { flags = [], env = {} }: { flags?: string[]; env?: Record<string, string> } = {},
  ) {
    return await runCeremony(['keygen', '--env', 'prod', '--token', uri, '--out', out, ...args], {
      cwd: hsm.dir,
      env: { ...hsm.environment, PATH: process.env['PATH'] ?? '', HOME: hsm.dir, ...cache, ...env },
      flags,
      input,
    })
  }

  const recordOf = async (out: string) =>
    JSON.parse(await readFile(join(hsm.dir, out, 'recovery-key.json'), 'utf8')) as {
      did: string
      source: { kind: string; uri: string }
    }

  test.each(['K-256', 'P-256'] as const)(
    'makes a %s key that stays there and signs',
    async (curve) => {
      const label = `recovery ${curve}`
      const ran = await keygen(curve, ['--curve', curve, '--label', label])
      expect(ran).toMatchObject({ code: 0, err: '' })
      const { did, source } = await recordOf(curve)
      expect(ran.out).toContain(`\nPDS_RECOVERY_DID_KEY=${did}\n`)
      expect(source.kind).toBe('token')
      expect(source.uri).toContain(`object=${encodeURIComponent(label)}`)
      expect(await readdir(join(hsm.dir, curve))).toEqual(['recovery-key.json'])
      const { latchDir, environment, pinPath } = hsm
      const access = {
        uri: parseTokenUri(hsm.tokenUri()),
        pin: pinFromFile(pinPath),
        latchDir,
        environment,
      }
      const checked = await checkKey(access, { match: { label, id: null }, curve, did })
      expect(checked).toMatchObject({ problems: [], remarks: [] })
    },
  )

  test('proves later that it is there, and no other key of the token does', async () => {
    const run = async (command: string, ...args: string[]) =>
      await runCeremony(
        [command, '--env', 'prod', '--record', 'K-256/recovery-key.json', ...args],
        {
          cwd: hsm.dir,
          env: { ...hsm.environment, PATH: process.env['PATH'] ?? '', HOME: hsm.dir },
        },
      )
    expect(await run('prove', '--out', 'proof.json')).toMatchObject({ code: 0, err: '' })
    expect((await run('check-proof', 'proof.json')).code).toBe(0)
    await hsm.tool('--delete-object', '--type', 'privkey', '--label', 'recovery K-256')
    await hsm.tool('--delete-object', '--type', 'pubkey', '--label', 'recovery K-256')
    const gone = await run('prove', '--out', 'gone.json')
    expect(gone.code).toBe(1)
    // The same name, another key: what it signs is refused, since it is not by the key of the record.
    await hsm.makeKey('recovery K-256', 'K-256')
    const other = await run('prove', '--out', 'other.json')
    expect(other.code).toBe(1)
    expect(await readdir(hsm.dir)).not.toContain('other.json')
  })

  test('asks for the PIN once, and does not print it', async () => {
    const ran = await keygen('asked', ['--label', 'asked'], `${hsm.pin}\n`, prompted())
    expect(ran.code).toBe(0)
    expect(ran.err.match(/PIN of the token/g)).toHaveLength(1)
    expect(`${ran.out}${ran.err}`).not.toContain(hsm.pin)
  })

  test('leaves a label that is taken; --adopt writes the record of the key that has it', async () => {
    await hsm.makeKey('there', 'K-256')
    const taken = await keygen('there', ['--label', 'there'])
    expect(taken).toMatchObject({ code: 1, out: '' })
    expect(taken.err).toContain('--adopt')
    const adopted = await keygen('there', ['--label', 'there', '--adopt'])
    expect(adopted.code).toBe(0)
    expect(adopted.out).toContain((await recordOf('there')).did)
    const none = await keygen('none', ['--label', 'nobody', '--adopt'])
    expect(none.err).toContain('0 keys on the token are called nobody')
  })

  test('refuses a key that can leave the token', async () => {
    await hsm.makeKey('loose', 'K-256', '--extractable')
    const { code, err } = await keygen('loose', ['--label', 'loose', '--adopt'])
    expect(code).toBe(1)
    expect(err).toContain('CKA_EXTRACTABLE is not false')
    expect(await readdir(hsm.dir)).not.toContain('loose')
  })

  test('tries a wrong PIN once: then it is latched until a person says otherwise', async () => {
    const before = await hsm.shim.count('C_Login')
    const wrong = await keygen('none', ['--label', 'x'], 'not the PIN\n', prompted())
    expect(wrong).toMatchObject({ code: 3, out: '' })
    const serial = /scripts\/ceremony unlatch (\w+)/.exec(wrong.err)?.[1] ?? ''
    expect(serial).not.toBe('')
    const right = await keygen('none', ['--label', 'x'], `${hsm.pin}\n`, prompted())
    expect(right.code).toBe(3)
    expect((await hsm.shim.count('C_Login')) - before).toBe(1)
    const unlatched = await runCeremony(['unlatch', serial], { env: { HOME: hsm.dir } })
    expect(unlatched).toMatchObject({ code: 0 })
    expect(unlatched.out).toContain('the token refused the PIN')
    expect((await keygen('x', ['--label', 'x'], `${hsm.pin}\n`, prompted())).code).toBe(0)
  })

  test('killed after the key is made and before its record is: --adopt goes on from there', async () => {
    const killed = async (out: string, dieAt: number) =>
      await keygen(out, ['--label', out], '', hsm.tokenUri(), {
        flags: ['--import', preload],
        env: { DIE_AT: String(dieAt) },
      })
    const undisturbed = await killed('whole', 0)
    const writes = Number(/writes: (\d+)/.exec(undisturbed.err)?.[1])
    // The folder is made, its one file opened, written and synced, and the folder put in its place.
    for (const before of [5, 2]) {
      const label = `killed-${before}`
      expect(await killed(label, writes - before + 1)).toMatchObject({ code: null, out: '' })
      expect(await readdir(hsm.dir)).not.toContain(label)
      expect((await keygen(label, ['--label', label])).err).toContain('--adopt')
      expect((await keygen(label, ['--label', label, '--adopt'])).code).toBe(0)
      expect(await readdir(join(hsm.dir, label))).toEqual(['recovery-key.json'])
    }
  })

  test('killed while it logs in: that counts as a wrong PIN, and asks for a person', async () => {
    const before = await hsm.shim.count('C_Login')
    const options = { flags: ['--import', preload], env: { DIE_AT: '5' } }
    await keygen('none', ['--label', 'y'], '', hsm.tokenUri(), options)
    const latched = await keygen('none', ['--label', 'y'])
    expect(latched).toMatchObject({ code: 3, out: '' })
    expect(latched.err).toContain('a login was cut off')
    expect((await hsm.shim.count('C_Login')) - before).toBeLessThanOrEqual(1)
    const serial = /scripts\/ceremony unlatch (\w+)/.exec(latched.err)?.[1] ?? ''
    expect((await runCeremony(['unlatch', serial], { env: { HOME: hsm.dir } })).code).toBe(0)
    expect((await keygen('y', ['--label', 'y'])).code).toBe(0)
  })

  test('refuses a URI with a PIN in it, without repeating it', async () => {
    const { code, err } = await keygen('none', [], '', `${prompted()}&pin-value=12345678`)
    expect(code).toBe(1)
    expect(err).not.toContain('12345678')
  })

  test('says what is wrong with a module that is none', async () => {
    await writeFile(join(hsm.dir, 'none.so'), 'text')
    const { code, err } = await keygen(
      'none',
      [],
      '',
      `pkcs11:token=T?module-path=${hsm.dir}/none.so`,
    )
    expect(code).toBe(3)
    expect(err).toContain('none.so')
  })
})
