import { mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Secp256k1Keypair } from '@atproto/crypto'
import { describe, expect, test } from 'vitest'
import type { KeyConfig } from '../../../src/policy/policy-set.ts'
import { describeHealth } from '../../../src/signer/backend.ts'
import { ATTRIBUTE } from '../../../src/signer/pkcs11/find-key.ts'
import { CKR } from '../../support/pkcs11-shim/shim.ts'
import type { Rule } from '../../support/pkcs11-shim/shim.ts'
import { missingForPkcs11 } from '../../support/softhsm.ts'
import { ask, within } from './ask.ts'
import { openBench, until } from './harness.ts'
import type { Bench } from './harness.ts'

const missing = missingForPkcs11()

/** With that attribute of every key changed on its way. */
const changed = (type: number, value: boolean): Rule => ({
  on: 'C_GetAttributeValue',
  action: 'attribute',
  argument: type * 256 + (value ? 1 : 0),
})
const unknown = (type: number): Rule => ({
  on: 'C_GetAttributeValue',
  action: 'no-attribute',
  argument: type,
})

async function refusal(bench: Bench, key: KeyConfig): Promise<string> {
  const opening = bench.open().openSigner(key)
  await expect(opening).rejects.toMatchObject({ code: 'key-unusable' })
  return await opening.then(
    () => '',
    (error: unknown) => String(error),
  )
}

describe.skipIf(missing !== null)(`a start is refused (needs ${missing ?? 'nothing more'})`, () => {
  const attributes: [string, Rule, string][] = [
    ['may not sign', changed(ATTRIBUTE.sign, false), 'CKA_SIGN'],
    ['is not sensitive', changed(ATTRIBUTE.sensitive, false), 'CKA_SENSITIVE'],
    ['can be extracted', changed(ATTRIBUTE.extractable, true), 'CKA_EXTRACTABLE'],
    ['wants its PIN each time', changed(ATTRIBUTE.alwaysAuthenticate, true), 'CKA_ALWAYS'],
    ['says nothing of being sensitive', unknown(ATTRIBUTE.sensitive), 'CKA_SENSITIVE'],
    ['says nothing of being extractable', unknown(ATTRIBUTE.extractable), 'CKA_EXTRACTABLE'],
    ['has no known curve', unknown(ATTRIBUTE.ecParams), 'no public key'],
    ['shows no public key', unknown(ATTRIBUTE.ecPoint), 'no public key'],
  ]
  test.each(attributes)('when the key %s', async (_what, rule, says) => {
    const bench = await openBench()
    await bench.shim.set(rule)
    expect(await refusal(bench, bench.k)).toContain(says)
    expect(await bench.shim.count('C_Sign')).toBe(0)
  })

  test('when another key has its name, naming both', async () => {
    const bench = await openBench()
    const other = (await Secp256k1Keypair.create()).did()
    const message = await refusal(bench, { ...bench.k, did: other })
    expect(message).toContain(`the token holds ${bench.k.did}, but keys.yaml pins ${other}`)
  })

  test('when a key of another curve has its name', async () => {
    const bench = await openBench()
    expect(await refusal(bench, { ...bench.k, uri: bench.uri('object=p') })).toContain('curve')
  })

  test('when no key or two keys have its name', async () => {
    const bench = await openBench()
    const none = { ...bench.k, uri: bench.uri('object=none') }
    expect(await refusal(bench, none)).toContain('no private key')
    await bench.makeKey('k', 'K-256')
    expect(await refusal(bench, bench.k)).toContain('more than one key')
  })

  test('when two tokens have the same label', async () => {
    const bench = await openBench()
    await bench.makeToken('T')
    expect(await refusal(bench, bench.k)).toContain('2 tokens match; add serial=')
    expect(await bench.shim.count('C_Login')).toBe(0)
  })

  test('when the module is not there, or is none', async () => {
    const bench = await openBench()
    const path = join(bench.dir, 'none.so')
    const key = { ...bench.k, uri: bench.uri('object=k', path) }
    expect(await refusal(bench, key)).toContain(`cannot load ${path}`)
    await writeFile(path, 'text')
    expect(await refusal(bench, key)).toContain(`cannot load ${path}`)
  })

  test('when no PIN file is named', async () => {
    const bench = await openBench()
    const uri = bench.k.uri?.replace(/&pin-source.*/, '') ?? null
    await expect(bench.open().openSigner({ ...bench.k, uri })).rejects.toThrow('no PIN')
  })
})

describe.skipIf(missing !== null)(`a key is found (needs ${missing ?? 'nothing more'})`, () => {
  test('by its id, its label or both, and its token by its serial', async () => {
    const bench = await openBench()
    const did = await bench.makeKey('both', 'P-256', '--id', '01ab')
    const backend = bench.open()
    for (const object of ['id=%01%ab', 'object=both', 'object=both;id=%01%AB;type=private']) {
      const key = { ...bench.p, did, uri: bench.uri(object) }
      expect(await ask(await backend.openSigner(key), key)).toBe('signed')
    }
    const serial = backend.health()[0]?.state.serial ?? ''
    const key = {
      ...bench.p,
      did,
      uri: bench.uri('id=%01%ab').replace('token=T', `serial=${serial}`),
    }
    expect(await ask(await backend.openSigner(key), key)).toBe('signed')
    const wrong = { ...key, uri: bench.uri('object=both;id=%01%ac') }
    await expect(backend.openSigner(wrong)).rejects.toThrow('no private key')
    expect(await ask(await backend.openSigner(key), key)).toBe('signed')
  })

  test('when its token is there again that was away at the start', async () => {
    const bench = await openBench()
    const away = `${bench.tokens}-away`
    await rename(bench.tokens, away)
    await mkdir(bench.tokens)
    const signer = await bench.open().openSigner(bench.k)
    expect(await ask(signer, bench.k, 300)).toBe('unavailable')
    await expect(signer.check(within(500))).rejects.toMatchObject({ code: 'unavailable' })
    await rename(bench.tokens, `${bench.tokens}-empty`)
    await rename(away, bench.tokens)
    await until(async () => (await ask(signer, bench.k)) === 'signed')
  })

  test('again after it was swapped for another and put back, and never the other', async () => {
    const bench = await openBench()
    const backend = bench.open({ idleCheckMs: 100 })
    const signer = await backend.openSigner(bench.k)
    await bench.tool('--delete-object', '--type', 'privkey', '--label', 'k')
    await bench.tool('--delete-object', '--type', 'pubkey', '--label', 'k')
    await bench.makeKey('k', 'K-256')
    await until(async () => (await ask(signer, bench.k)) === 'key-unusable')
    const before = await bench.shim.count('C_Sign')
    expect(await ask(signer, bench.k)).toBe('key-unusable')
    expect(await bench.shim.count('C_Sign')).toBe(before)
    expect(Object.keys(backend.health()[0]?.keys ?? {})).toEqual(['k'])
    await until(() => backend.health()[0]?.state.kind === 'ready')
    expect(describeHealth(backend.health())).toContain('not the pinned one')
    await expect(signer.check(within(2_000))).rejects.toMatchObject({ code: 'key-unusable' })
  })

  test('while another of the same token is gone', async () => {
    const bench = await openBench()
    const backend = bench.open({ idleCheckMs: 100 })
    const [k, p] = [await backend.openSigner(bench.k), await backend.openSigner(bench.p)]
    await bench.tool('--delete-object', '--type', 'privkey', '--label', 'k')
    await until(async () => (await ask(k, bench.k)) === 'key-unusable')
    await until(async () => (await ask(p, bench.p)) === 'signed')
    const starts = await bench.shim.count('C_Initialize')
    for (let n = 0; n < 50; n += 1) {
      expect(await ask(p, bench.p)).toBe('signed')
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    expect(await bench.shim.count('C_Initialize')).toBe(starts)
  })

  test('with the sessions that other programs leave it', async () => {
    const bench = await openBench()
    const full: Rule = { on: 'C_OpenSession', action: 'fail', argument: CKR.SESSION_COUNT }
    await bench.shim.set({ ...full, times: 1 })
    const signer = await bench.open().openSigner(bench.p)
    await until(async () => (await ask(signer, bench.p)) === 'signed')
    await bench.shim.set(
      { on: 'C_SignInit', action: 'close-sessions', times: 1 },
      { ...full, times: 3 },
    )
    const answers = await Promise.all(
      Array.from({ length: 20 }, async () => await ask(signer, bench.p)),
    )
    expect(new Set(answers)).not.toContain('timeout')
    await until(async () => (await ask(signer, bench.p)) === 'signed')
  })
})
