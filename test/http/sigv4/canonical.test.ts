import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canonicalRequest, sha256Hex } from '../../../src/http/sigv4/canonical.ts'
import { AuthenticationError } from '../../../src/http/authentication-error.ts'

const headers = new Map([
  ['host', 'example.amazonaws.com'],
  ['x-amz-date', '20150830T123600Z'],
])
const signedHeaders = ['host', 'x-amz-date']
const vanilla = { method: 'GET', target: '/', headers, body: new Uint8Array() }

function outcome(request: typeof vanilla): string {
  try {
    canonicalRequest(request, signedHeaders)
    return 'made'
  } catch (error) {
    return error instanceof AuthenticationError ? error.code : String(error)
  }
}

/** Hashes of canonical requests as AWS published them with its SigV4 test suite and in its guide. */
describe('the canonical request', () => {
  it('of get-vanilla is the published one', () => {
    expect(sha256Hex(canonicalRequest(vanilla, signedHeaders))).toBe(
      'bb579772317eb040ac9ed261061d46c1f17a8133879d6129b6e1c25292927e63',
    )
  })

  it('of get-vanilla-query-order-key-case is the published one', () => {
    const request = { ...vanilla, target: '/?Param2=value2&Param1=value1' }
    expect(sha256Hex(canonicalRequest(request, signedHeaders))).toBe(
      '816cd5b414d056048ba4f7c5386d6e0533120fb1fcfa93762cf0fc39e2cf19e0',
    )
  })

  it('of the example in the guide is the published one', () => {
    const request = {
      method: 'GET',
      target: '/?Action=ListUsers&Version=2010-05-08',
      headers: new Map([
        ['content-type', 'application/x-www-form-urlencoded; charset=utf-8'],
        ['host', 'iam.amazonaws.com'],
        ['x-amz-date', '20150830T123600Z'],
      ]),
      body: new Uint8Array(),
    }
    const names = ['content-type', 'host', 'x-amz-date']
    expect(sha256Hex(canonicalRequest(request, names))).toBe(
      'f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59',
    )
  })

  it('is the same for a query in any order and, decoded, says the same as the query', () => {
    const pair = fc.tuple(
      fc.string({ unit: 'binary', minLength: 1 }),
      fc.string({ unit: 'binary' }),
    )
    fc.assert(
      fc.property(fc.array(pair, { minLength: 1 }), (pairs) => {
        fc.pre(pairs.every(([name]) => !name.toLowerCase().startsWith('x-amz-')))
        const encoded = pairs.map((p) => p.map(encodeURIComponent).join('='))
        const lines = [encoded, encoded.toReversed()].map(
          (q) =>
            canonicalRequest({ ...vanilla, target: `/?${q.join('&')}` }, signedHeaders).split(
              '\n',
            )[2]!,
        )
        expect(lines[0]).toBe(lines[1])
        const decoded = lines[0]!.split('&').map((p) => p.split('=').map(decodeURIComponent))
        expect(decoded.map(String).sort()).toEqual(pairs.map(String).sort())
      }),
    )
  })

  it('is refused or made for any target, and throws nothing else', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (target) => {
        expect(outcome({ ...vanilla, target })).toMatch(/^(made|malformed)$/)
      }),
    )
  })
})
