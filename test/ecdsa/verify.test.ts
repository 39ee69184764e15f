import * as fc from 'fast-check'
import { execFileSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { describe, expect, test } from 'vitest'
import { verifyWithAtproto } from '../../src/ecdsa/atproto.ts'
import { compactToDer } from '../../src/ecdsa/der.ts'
import { openVerifier, opensslVerifier } from '../../src/ecdsa/native.ts'
import { curveOrder } from '../../src/plc/compact.ts'
import { keyNamed, p256KeyNamed } from '../plc/build-log.ts'
import { flipS, signatureOf, toInteger } from '../plc/scalars.ts'

const native = openVerifier()
const engines = [
  { engine: 'atproto', verify: verifyWithAtproto },
  { engine: `native (${native.engine})`, verify: native.verify },
  { engine: 'openssl', verify: opensslVerifier() },
]
const keys = [
  { curve: 'K-256', key: await keyNamed('server'), other: await keyNamed('recovery') },
  { curve: 'P-256', key: await p256KeyNamed('server'), other: await p256KeyNamed('recovery') },
] as const
const message = new TextEncoder().encode('an operation')

describe.each(keys)('$curve', async ({ curve, key, other }) => {
  const compact = await key.sign(message)
  const n = toInteger(curveOrder(curve))

  describe.each(engines)('$engine', ({ verify }) => {
    test('accepts the signature of the key over the bytes', async () => {
      expect(await verify(key.did(), message, compact)).toBe(true)
      expect(await verify(key.did(), new Uint8Array(0), await key.sign(new Uint8Array(0)))).toBe(
        true,
      )
    })

    test('refuses other bytes and another key', async () => {
      expect(await verify(key.did(), message.with(0, 0), compact)).toBe(false)
      expect(await verify(other.did(), message, compact)).toBe(false)
    })

    test.each([
      { what: 'high S', bad: flipS(curve, compact) },
      { what: 'DER', bad: compactToDer(compact) },
      {
        what: 'r and s exchanged',
        bad: Uint8Array.from([...compact.slice(32), ...compact.slice(0, 32)]),
      },
      { what: 'r zero', bad: signatureOf(0n, 1n) },
      { what: 's zero', bad: signatureOf(1n, 0n) },
      { what: 'r of n', bad: signatureOf(n, 1n) },
      {
        what: 'r above n by what r is',
        bad: signatureOf((toInteger(compact.slice(0, 32)) + n) % 2n ** 256n, 1n),
      },
      { what: 's of n', bad: signatureOf(1n, n) },
      { what: 'all ones', bad: new Uint8Array(64).fill(0xff) },
      { what: 'all zeros', bad: new Uint8Array(64) },
      { what: 'nothing', bad: new Uint8Array(0) },
      { what: 'a byte short', bad: compact.slice(0, 63) },
      { what: 'a byte too long', bad: Uint8Array.from([...compact, 0]) },
    ])('answers false to $what', async ({ bad }) => {
      expect(await verify(key.did(), message, bad)).toBe(false)
    })

    test.each(['did:key:zJunk', '', 'did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK'])(
      'rejects the key %j as no key',
      async (bad) => {
        await expect(verify(bad, message, compact)).rejects.toMatchObject({ code: 'bad-key' })
      },
    )
  })

  test('the engines agree on any message, key and changed signature', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 200 }),
        fc.boolean(),
        fc.option(fc.tuple(fc.nat({ max: 63 }), fc.integer({ min: 1, max: 255 }))),
        async (bytes, foreign, change) => {
          const signature = await (foreign ? other : key).sign(bytes)
          if (change !== null) signature[change[0]]! ^= change[1]
          const answers = await Promise.all(
            engines.map(({ verify }) => verify(key.did(), bytes, signature)),
          )
          expect(new Set(answers)).toEqual(new Set([!foreign && change === null]))
        },
      ),
      { numRuns: 150 },
    )
  })
})

test('the native engine says what it is', () => {
  expect(native.engine).toBe(hasBinding() ? 'libsecp256k1' : 'openssl')
})

test('without the binding OpenSSL takes its place, and JavaScript does not', async () => {
  const key = await keyNamed('server')
  const signature = Buffer.from(await key.sign(message)).toString('hex')
  const program = `
    import { registerHooks } from 'node:module'
    const resolve = (specifier, context, next) => {
      if (/^secp256k1|elliptic/.test(specifier)) throw new Error('absent')
      return next(specifier, context)
    }
    registerHooks({ resolve })
    const { openVerifier } = await import(${JSON.stringify(new URL('../../src/ecdsa/native.ts', import.meta.url))})
    const { engine, verify } = openVerifier()
    const bytes = new TextEncoder().encode('an operation')
    const good = await verify('${key.did()}', bytes, Buffer.from('${signature}', 'hex'))
    console.log(engine, good)`
  const out = execFileSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
  })
  expect(out).toBe('openssl true\n')
})

function hasBinding(): boolean {
  try {
    createRequire(import.meta.url)('secp256k1/bindings.js')
    return true
  } catch {
    return false
  }
}
