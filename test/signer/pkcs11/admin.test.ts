import { randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { P256Keypair, Secp256k1Keypair } from '@atproto/crypto'
import { describe, expect, test } from 'vitest'
import { decodeUnsignedOperation } from '../../../src/plc/encode.ts'
import { PlcError } from '../../../src/plc/error.ts'
import type { KeyConfig } from '../../../src/policy/policy-set.ts'
import { checkKey, createKey, importKey, listKeys } from '../../../src/signer/pkcs11/admin.ts'
import { pinFromFile } from '../../../src/signer/pkcs11/pin-file.ts'
import { listLatches } from '../../../src/signer/pkcs11/pin-latch.ts'
import { probeMessage } from '../../../src/signer/pkcs11/probe.ts'
import { parseTokenUri } from '../../../src/signer/pkcs11/uri.ts'
import { missingForPkcs11 } from '../../support/softhsm.ts'
import { ask, signAndRelease } from './ask.ts'
import { openBench } from './harness.ts'
import type { Bench } from './harness.ts'

const missing = missingForPkcs11()
const curves = ['K-256', 'P-256'] as const

function accessOf(bench: Bench) {
  const { latchDir, environment } = bench
  const uri = parseTokenUri(bench.tokenUri())
  return { uri, pin: pinFromFile(bench.pinPath), latchDir, environment }
}

/** What pkcs11-tool says of the private key of that label. */
async function privateKeyOf(bench: Bench, label: string): Promise<string> {
  const objects = (await bench.tool('--list-objects', '--type', 'privkey')).split(/^(?=\S)/m)
  const found = objects.filter((object) => new RegExp(`label: +${label}$`, 'm').test(object))
  expect(found).toHaveLength(1)
  return found[0]!
}

const bare = (label: string) => ({ match: { label, id: null } })

describe.skipIf(missing !== null)(`keys create (needs ${missing ?? 'nothing more'})`, () => {
  test.each(curves)('makes a %s key that signs and never leaves', async (curve) => {
    const bench = await openBench()
    const made = await createKey(accessOf(bench), { label: 'new', curve })
    expect(made?.did).toMatch(/^did:key:z/)
    const seen = await privateKeyOf(bench, 'new')
    expect(seen).toMatch(/Usage: +sign\s/)
    expect(seen).toMatch(/Access: +sensitive, always sensitive, never extract\w+, local/)
    const key: KeyConfig = { ...bench.k, curve, did: made?.did ?? '', uri: made?.uri ?? '' }
    await signAndRelease(await bench.open().openSigner(key), key)
    const checked = await checkKey(accessOf(bench), { ...bare('new'), curve, did: key.did })
    expect(checked).toMatchObject({ problems: [], remarks: [] })
  })

  test('leaves a label that is taken to whoever has it', async () => {
    const bench = await openBench()
    expect(await createKey(accessOf(bench), { label: 'k', curve: 'K-256' })).toBeNull()
    await privateKeyOf(bench, 'k')
    await signAndRelease(await bench.open().openSigner(bench.k), bench.k)
  })

  test('works for a token with a name that must be encoded', async () => {
    const bench = await openBench()
    const label = 'K;1 = "ü?&/%"'
    const made = await createKey(accessOf(bench), { label, curve: 'P-256' })
    const key: KeyConfig = { ...bench.p, did: made?.did ?? '', uri: made?.uri ?? '' }
    expect(await ask(await bench.open().openSigner(key), key)).toBe('signed')
  })
})

describe.skipIf(missing !== null)(`keys import (needs ${missing ?? 'nothing more'})`, () => {
  test.each(curves)('brings a %s key of software into the token, for good', async (curve) => {
    const bench = await openBench()
    const keypair =
      curve === 'K-256'
        ? await Secp256k1Keypair.create({ exportable: true })
        : await P256Keypair.create({ exportable: true })
    const secret = await keypair.export()
    const made = await importKey(accessOf(bench), { label: 'moved', curve, secret })
    expect(made?.did).toBe(keypair.did())
    expect(await privateKeyOf(bench, 'moved')).toMatch(/Access: +sensitive$/m)
    const key: KeyConfig = { ...bench.k, curve, did: keypair.did(), uri: made?.uri ?? '' }
    await signAndRelease(await bench.open().openSigner(key), key)
    expect(await importKey(accessOf(bench), { label: 'moved', curve, secret })).toBeNull()
    const checked = await checkKey(accessOf(bench), { ...bare('moved'), curve, did: key.did })
    expect(checked.problems).toEqual([])
    expect(checked.remarks.join()).toContain('somebody else may have a copy')
  })

  test.each([
    ['zero', Buffer.alloc(32)],
    ['beyond the order', Buffer.alloc(32, 0xff)],
    ['too short', randomBytes(31)],
  ])('refuses a secret that is %s', async (_what, secret) => {
    const bench = await openBench()
    const order = { label: 'bad', curve: 'K-256', secret } as const
    await expect(importKey(accessOf(bench), order)).rejects.toMatchObject({ code: 'key-unusable' })
    expect(await bench.shim.count('C_CreateObject')).toBe(0)
  })

  test('leaves no half when the private key is refused', async () => {
    const bench = await openBench()
    const secret = await (await P256Keypair.create({ exportable: true })).export()
    await bench.shim.set({ on: 'C_CreateObject', action: 'refuse-secret', argument: 0x13 })
    const order = { label: 'half', curve: 'P-256', secret } as const
    await expect(importKey(accessOf(bench), order)).rejects.toThrow('CKR')
    expect(await bench.tool('--list-objects')).not.toContain('half')
  })
})

describe.skipIf(missing !== null)(`keys list and check (need ${missing ?? 'nothing more'})`, () => {
  test('show what another client made', async () => {
    const bench = await openBench()
    const keys = await listKeys(accessOf(bench))
    expect(new Set(keys.map(({ did }) => did))).toEqual(new Set([bench.k.did, bench.p.did]))
    for (const key of [bench.k, bench.p]) {
      const pinned = { ...bare(key.id), curve: key.curve, did: key.did }
      const { problems, remarks } = await checkKey(accessOf(bench), pinned)
      expect(problems).toEqual([])
      // pkcs11-tool says no word about these, and SoftHSM2 allows them then.
      expect(remarks.map((remark) => remark.split(':')[0])).toEqual(['CKA_DECRYPT', 'CKA_UNWRAP'])
    }
  })

  test('prove possession by a message that is no PLC operation, whatever the nonce', async () => {
    for (let n = 0; n < 256; n += 1) {
      const nonce = randomBytes(32)
      nonce[0] = n
      expect(() => decodeUnsignedOperation(probeMessage(nonce))).toThrow(PlcError)
      expect((probeMessage(nonce)[0] ?? 0) >> 5).not.toBe(5)
    }
    expect(() => probeMessage(randomBytes(33))).toThrow(TypeError)
  })

  test('name a key that is not the pinned one, is not there, or is there twice', async () => {
    const bench = await openBench()
    const access = accessOf(bench)
    const other = await checkKey(access, { ...bare('k'), curve: 'P-256', did: bench.p.did })
    expect(other.problems.join()).toContain(`${bench.p.did} is pinned`)
    expect(other.problems.join()).toContain('did not sign as the pinned key')
    const none = await checkKey(access, { ...bare('none'), curve: 'K-256', did: bench.k.did })
    expect(none.problems).toEqual(['no private key has that label and id'])
    await bench.makeKey('k', 'K-256')
    const two = await checkKey(access, { ...bare('k'), curve: 'K-256', did: bench.k.did })
    expect(two.problems).toEqual(['2 keys have that label and id'])
  })

  test('name a key that can leave or do more than sign', async () => {
    const bench = await openBench()
    const did = await bench.makeKey('loose', 'P-256', '--extractable', '--usage-derive')
    const loose = { ...bare('loose'), curve: 'P-256', did } as const
    const { problems, remarks } = await checkKey(accessOf(bench), loose)
    expect(problems).toEqual(['CKA_EXTRACTABLE is not false: it can be taken out'])
    expect(remarks.join()).toContain('CKA_DERIVE')
  })

  test('count a wrong PIN for the service as well', async () => {
    const bench = await openBench()
    await bench.setPin('not the PIN')
    await expect(listKeys(accessOf(bench))).rejects.toThrow(/keys unlatch [0-9a-f]{16}/)
    await expect(listKeys(accessOf(bench))).rejects.toMatchObject({ code: 'unavailable' })
    const backend = bench.open()
    await backend.openSigner(bench.k)
    expect(backend.health()[0]?.state.kind).toBe('latched')
    expect(await bench.shim.count('C_Login')).toBe(1)
    expect(await listLatches(bench.latchDir)).toHaveLength(1)
  })

  test('say what is wrong with a module that does not load', async () => {
    const bench = await openBench()
    const path = join(bench.dir, 'not-a-module.so')
    await writeFile(path, 'text')
    const access = { ...accessOf(bench), uri: parseTokenUri(bench.tokenUri(path)) }
    await expect(listKeys(access)).rejects.toThrow(path)
  })
})

test('the child of the service has no call that makes, changes or removes a key', async () => {
  const folder = new URL('../../../src/signer/pkcs11/', import.meta.url)
  const seen = new Set<string>()
  async function reach(file: string): Promise<void> {
    if (seen.has(file)) return
    seen.add(file)
    const text = await readFile(new URL(file, folder), 'utf8')
    expect(text).not.toMatch(
      /C_(Generate|Create|Copy|Destroy|Set|Init(Token|PIN)|Wrap|Unwrap|Derive)/,
    )
    for (const [, next] of text.matchAll(/^import (?!type)[^']*'\.\/([^']+)'/gm)) await reach(next!)
  }
  await reach('child.ts')
  expect([...seen]).toContain('sign-loop.ts')
})
