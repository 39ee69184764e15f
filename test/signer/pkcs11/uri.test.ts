import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatKeyUri, parseKeyUri, parseTokenUri } from '../../../src/signer/pkcs11/uri.ts'

const good = 'pkcs11:token=T;object=O?module-path=/usr/lib/m.so&pin-source=file:/run/pin'

describe('a pkcs11: URI', () => {
  test('names token, key, module and PIN file', () => {
    const uri =
      'pkcs11:token=My%20token;serial=00ab;manufacturer=M;model=X;object=%C3%BC%3B;id=%01%fFa;type=private' +
      '?module-path=/usr/lib/m.so&pin-source=file:///run/secrets/pin'
    expect(parseKeyUri(uri)).toEqual({
      token: { label: 'My token', serial: '00ab', manufacturer: 'M', model: 'X' },
      key: { label: 'ü;', id: Uint8Array.of(0x01, 0xff, 0x61) },
      modulePath: '/usr/lib/m.so',
      pinPath: '/run/secrets/pin',
    })
  })

  test('may leave the PIN file to the configuration', () => {
    expect(parseKeyUri(good.replace(/&.*/, ''))).toMatchObject({ pinPath: null })
  })

  const bad: [string, string, string][] = [
    ['another scheme', good.replace('pkcs11', 'PKCS11'), 'pkcs11:'],
    ['a PIN in it', `${good}&pin-value=1234`, 'pin-value= is refused'],
    ['a PIN in its path', good.replace(';', ';pin-value=1;'), 'pin-value= is refused'],
    ['a command as PIN source', good.replace('file:', '|'), 'file: and an absolute path'],
    ['a relative PIN file', good.replace('file:/run', 'file:run'), 'file: and an absolute path'],
    ['a PIN file on a host', good.replace('file:/', 'file://host/'), 'file: and an absolute path'],
    ['an unknown attribute', good.replace(';', ';slot-id=1;'), 'not one of'],
    ['an unknown query', `${good}&module-name=m`, 'not one of'],
    ['an attribute twice', good.replace(';', ';token=U;'), 'twice'],
    ['an attribute without a value', good.replace('=T', ''), 'not one of'],
    ['an empty value', good.replace('=T', '='), 'empty'],
    ['an empty attribute', good.replace(';', ';;'), 'not one of'],
    ['a space', good.replace('=T', '=T T'), 'percent-encoded'],
    ['half an escape', good.replace('=T', '=%4'), 'percent-encoded'],
    ['a fragment', `${good}#x`, 'percent-encoded'],
    ['a second question mark in its path', good.replace('=O', '=O?x'), 'not one of'],
    ['bytes that are no text', good.replace('=O', '=%ff'), 'not UTF-8'],
    ['a NUL', good.replace('=O', '=O%00'), 'not UTF-8'],
    ['a line end', good.replace('=O', '=O%0a'), 'not UTF-8'],
    ['a token label that no token has', good.replace('=T', `=${'t'.repeat(33)}`), 'longer than 32'],
    ['another type', good.replace('=O', '=O;type=public'), 'private'],
    ['no token', good.replace('token=T;', ''), 'token= or serial='],
    ['no key', good.replace('object=O', 'type=private'), 'object= or id='],
    ['no module', good.replace('module-path=/usr/lib/m.so&', ''), 'module-path='],
    ['a relative module', good.replace('=/usr', '=usr'), 'absolute'],
  ]
  test.each(bad)('with %s is refused', (_what, uri, says) => {
    expect(() => parseKeyUri(uri)).toThrow(says)
    expect(() => parseKeyUri(uri)).toThrow(expect.objectContaining({ code: 'key-unusable' }))
  })

  test('of a token names no key', () => {
    expect(parseTokenUri(good.replace(';object=O', ''))).toMatchObject({ token: { label: 'T' } })
    expect(() => parseTokenUri(good)).toThrow('object= has no place')
  })

  test('says no secret when it is refused', () => {
    const uri = good.replace('file:/run/pin', 'secret')
    expect(() => parseKeyUri(uri)).not.toThrow('secret')
  })

  const name = (max: number) =>
    fc.string({ minLength: 1, maxLength: max / 4, unit: 'grapheme' }).filter((text) => {
      const bytes = Buffer.from(text, 'utf8')
      const isText = bytes.toString('utf8') === text
      return isText && bytes.length <= max && !bytes.some((byte) => byte < 0x20 || byte === 0x7f)
    })
  const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: null })

  test('is read again as it was written', () => {
    const uris = fc.record({
      token: fc.record({
        label: name(32),
        serial: optional(name(16)),
        manufacturer: optional(name(32)),
        model: optional(name(16)),
      }),
      key: fc.record({
        label: name(32),
        id: optional(fc.uint8Array({ minLength: 1, maxLength: 20 })),
      }),
      modulePath: name(64).map((path) => `/m${path}`),
      pinPath: optional(name(64).map((path) => `/p${path}`)),
    })
    fc.assert(
      fc.property(uris, (uri) => {
        expect(parseKeyUri(formatKeyUri(uri))).toEqual(uri)
      }),
    )
  })
})
