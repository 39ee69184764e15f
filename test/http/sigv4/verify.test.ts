import { GetPublicKeyCommand, ListKeysCommand } from '@aws-sdk/client-kms'
import { describe, expect, it } from 'vitest'
import type { Credential } from '../../../src/http/credential.ts'
import type { Received } from '../../../src/http/received.ts'
import { readHeaders } from '../../../src/http/received.ts'
import { AuthenticationError } from '../../../src/http/authentication-error.ts'
import type { SigV4Service } from '../../../src/http/sigv4/verify.ts'
import { verifySigV4 } from '../../../src/http/sigv4/verify.ts'
import type { AccessKey, Signed, ToSign } from '../../support/aws-client.ts'
import { kmsCall, kmsClient, signRequest, v1Call } from '../../support/aws-client.ts'

const now = new Date('2026-03-01T12:00:00Z')
const pds: AccessKey = {
  accessKeyId: 'HFTESTKEY0000000PDS0',
  secretAccessKey: 'a/Secret+of=the PDS',
}
const credential: Credential = {
  caller: 'pds',
  accessKeyId: pds.accessKeyId,
  secret: pds.secretAccessKey,
  tokenHash: new Uint8Array(32),
}

async function find(accessKeyId: string): Promise<Credential | null> {
  return accessKeyId === credential.accessKeyId ? credential : null
}

function received(signed: Signed): Received {
  const headers = readHeaders(signed.headers.flat())
  return { method: signed.method, target: signed.target, headers, body: signed.body }
}

function verify(request: Received, service: SigV4Service = 'kms'): Promise<Credential> {
  return verifySigV4(request, { findCredential: find, service, now })
}

function call(changes: Partial<ToSign> = {}): ToSign {
  return kmsCall('GetPublicKey', { KeyId: 'pds' }, pds, { time: now, ...changes })
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => null,
    (error: unknown) => error,
  )
  if (!(error instanceof AuthenticationError))
    throw new Error('expected a AuthenticationError', { cause: error })
  return error.code
}

/** What the SDK's own signer sends, caught before it leaves. */
async function signedBySdk(endpoint: string, command: 'get' | 'list'): Promise<Received> {
  let caught: Received | undefined
  const client = kmsClient(endpoint, pds, {
    requestHandler: {
      async handle(request: {
        method: string
        path: string
        headers: Record<string, string>
        body: unknown
      }) {
        const headers = readHeaders(Object.entries(request.headers).flat())
        const body = new Uint8Array(request.body as Uint8Array)
        caught = { method: request.method, target: request.path, headers, body }
        throw new Error('not sent')
      },
    },
    maxAttempts: 1,
  })
  const sent =
    command === 'get'
      ? client.send(new GetPublicKeyCommand({ KeyId: 'pds' }))
      : client.send(new ListKeysCommand({}))
  await sent.catch(() => undefined)
  if (caught === undefined) throw new Error('the SDK sent nothing')
  return caught
}

describe('a signature made by the AWS SDK', () => {
  it.each(['http://127.0.0.1:2590/kms', 'http://127.0.0.1:2590/kms/', 'https://custody.example'])(
    'is accepted for the endpoint %s',
    async (endpoint) => {
      const request = await signedBySdk(endpoint, 'get')
      const found = await verifySigV4(request, {
        findCredential: find,
        service: 'kms',
        now: new Date(),
      })
      expect(found).toBe(credential)
    },
  )

  it('equals the one of the small signer of these tests', async () => {
    const request = await signedBySdk('http://127.0.0.1:2590/kms', 'list')
    const { authorization = '', ...headers } = Object.fromEntries(request.headers)
    const names = /SignedHeaders=([^,]+)/.exec(authorization)![1]!.split(';')
    const date = headers['x-amz-date']!
    const time = new Date(date.replace(/^(....)(..)(..T..)(..)(..)Z$/, '$1-$2-$3:$4:$5Z'))
    const ours = signRequest(call({ headers, time, body: request.body, signedHeaders: names }))
    expect(Object.fromEntries(ours.headers)['authorization']).toBe(authorization)
  })
})

describe('a signed request', () => {
  it('names its caller', async () => {
    await expect(verify(received(signRequest(call())))).resolves.toBe(credential)
  })

  it.each([-300, 300])('is accepted when its clock is %i s off', async (seconds) => {
    const time = new Date(now.getTime() + seconds * 1000)
    await expect(verify(received(signRequest(call({ time }))))).resolves.toBe(credential)
  })

  it('may have spaces in its headers, and none between the parts of its Authorization', async () => {
    const headers = { ...call().headers, 'x-spaces': '  a   b  ' }
    const signed = signRequest(call({ headers }))
    const packed = signed.headers.map(([name, value]): [string, string] =>
      name === 'authorization' ? [name, value.replaceAll(', ', ',')] : [name, value],
    )
    await expect(verify(received({ ...signed, headers: packed }))).resolves.toBe(credential)
  })

  it('may have an unsigned header beside the signed ones', async () => {
    const signed = signRequest(call())
    const headers: Signed['headers'] = [...signed.headers, ['x-forwarded-for', '192.0.2.1']]
    await expect(verify(received({ ...signed, headers }))).resolves.toBe(credential)
  })

  it.each([
    ['without a query', ''],
    ['with a sorted query', 'limit=5&state=signed'],
    ['with an escaped value', 'did=did%3Aplc%3Aabc'],
    ['with a name that is the start of another', 'a=2&a-b=1'],
  ])('is accepted on /v1 %s', async (_, query) => {
    const signed = received(signRequest(v1Call('/v1/requests', query, pds, { time: now })))
    await expect(verify(signed, 'holdfast')).resolves.toBe(credential)
  })

  it('is accepted on /v1 with its query in another order and another spelling', async () => {
    const query = 'did=did%3Aplc%3Aabc&limit=5'
    const signed = received(signRequest(v1Call('/v1/requests', query, pds, { time: now })))
    const respelt = { ...signed, target: '/v1/requests?limit=5&did=did:plc:abc' }
    await expect(verify(respelt, 'holdfast')).resolves.toBe(credential)
  })
})

describe('a request with one thing changed before it was signed', () => {
  const cases: [title: string, code: string, changes: Partial<ToSign>][] = [
    ['another secret', 'mismatch', { key: { ...pds, secretAccessKey: 'another' } }],
    ['an unknown access key', 'mismatch', { key: { ...pds, accessKeyId: 'HFTESTKEY00000000000' } }],
    ['an access key that is too short', 'malformed', { key: { ...pds, accessKeyId: 'SHORT' } }],
    [
      'an access key that is too long',
      'malformed',
      { key: { ...pds, accessKeyId: 'A'.repeat(129) } },
    ],
    [
      'an access key with a quote',
      'malformed',
      { key: { ...pds, accessKeyId: "HFTESTKEY'0000000000" } },
    ],
    ['the service of another door', 'scope', { service: 'holdfast' }],
    ['the service of another AWS API', 'scope', { service: 's3' }],
    ['another terminator', 'malformed', { terminator: 'aws5_request' }],
    ['a region that is none', 'malformed', { region: 'EU NORTH' }],
    ['an empty region', 'malformed', { region: '' }],
    ['the scope of yesterday', 'scope', { day: '20260228' }],
    ['a clock 301 s behind', 'skewed', { time: new Date(now.getTime() - 301_000) }],
    ['a clock 301 s ahead', 'skewed', { time: new Date(now.getTime() + 301_000) }],
    ['an unsigned host', 'malformed', { signedHeaders: ['x-amz-date', 'x-amz-target'] }],
    ['an unsigned x-amz-date', 'malformed', { signedHeaders: ['host', 'x-amz-target'] }],
    ['an unsigned x-amz-target', 'malformed', { signedHeaders: ['host', 'x-amz-date'] }],
    [
      'unsorted signed headers',
      'malformed',
      { signedHeaders: ['x-amz-target', 'host', 'x-amz-date'] },
    ],
    [
      'a signed header named twice',
      'malformed',
      { signedHeaders: ['host', 'host', 'x-amz-date', 'x-amz-target'] },
    ],
    [
      'a signed header in capitals',
      'malformed',
      { signedHeaders: ['Host', 'host', 'x-amz-date', 'x-amz-target'] },
    ],
    [
      'a signed header that is not there',
      'malformed',
      { signedHeaders: ['host', 'x-amz-date', 'x-amz-target', 'x-none'] },
    ],
    ['no signed headers', 'malformed', { signedHeaders: [] }],
    ['an unsigned payload', 'mismatch', { payloadHash: 'UNSIGNED-PAYLOAD' }],
    [
      'a date that is none',
      'malformed',
      { headers: { ...call().headers, 'x-amz-date': '20260230T120000Z' } },
    ],
    [
      'a date of another form',
      'malformed',
      { headers: { ...call().headers, 'x-amz-date': 'Sun, 01 Mar 2026 12:00:00 GMT' } },
    ],
    [
      'a session token',
      'malformed',
      { headers: { ...call().headers, 'x-amz-security-token': 'token' } },
    ],
    [
      'a declared UNSIGNED-PAYLOAD',
      'malformed',
      { headers: { ...call().headers, 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' } },
    ],
    [
      'a declared streaming payload',
      'malformed',
      {
        headers: {
          ...call().headers,
          'x-amz-content-sha256': 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
        },
      },
    ],
    [
      'the declared hash of another body',
      'malformed',
      { headers: { ...call().headers, 'x-amz-content-sha256': '0'.repeat(64) } },
    ],
    ['a header that is not ASCII', 'malformed', { headers: { ...call().headers, 'x-name': 'é' } }],
    ['dots in the path', 'malformed', { path: '/kms/../kms/' }],
    ['an empty path segment', 'malformed', { path: '/kms//' }],
    ['an escape in the path', 'malformed', { path: '/%6bms/' }],
    ['an absolute URL as its target', 'malformed', { path: 'http://127.0.0.1:2590/kms/' }],
    ['a signature in the query', 'malformed', { query: 'X-Amz-Signature=00' }],
    ['an escaped signature in the query', 'malformed', { query: 'x%2Damz-signature=00' }],
    ['a plus in the query', 'malformed', { query: 'a=b+c' }],
    ['a broken escape in the query', 'malformed', { query: 'a=%zz' }],
  ]

  it.each(cases)('is refused for %s (%s)', async (_, code, changes) => {
    expect(await codeOf(verify(received(signRequest(call(changes)))))).toBe(code)
  })
})

describe('a signed request with one thing changed on its way', () => {
  const good = received(signRequest(call()))
  const withHeader = (name: string, value: string): Received => ({
    ...good,
    headers: new Map([...good.headers, [name, value]]),
  })
  const without = (name: string): Received => ({
    ...good,
    headers: new Map([...good.headers].filter(([other]) => other !== name)),
  })
  const respelt = (from: string | RegExp, to: string): Received =>
    withHeader('authorization', good.headers.get('authorization')!.replace(from, to))
  const date: [string, string] = ['date', now.toUTCString()]
  const withDate = { ...good, headers: new Map([...without('x-amz-date').headers, date]) }
  const cases: [title: string, code: string, request: Received][] = [
    ['its body', 'mismatch', { ...good, body: Buffer.from('{"KeyId":"other"}') }],
    ['no body', 'mismatch', { ...good, body: new Uint8Array() }],
    ['its method', 'mismatch', { ...good, method: 'PUT' }],
    ['its path', 'mismatch', { ...good, target: '/kms' }],
    ['a query', 'mismatch', { ...good, target: '/kms/?a=b' }],
    ['its host', 'mismatch', withHeader('host', 'evil.example')],
    ['its action', 'mismatch', withHeader('x-amz-target', 'TrentService.Sign')],
    ['its date', 'mismatch', withHeader('x-amz-date', '20260301T120001Z')],
    ['no date', 'malformed', without('x-amz-date')],
    ['Date instead of x-amz-date', 'malformed', withDate],
    ['no Authorization', 'missing', without('authorization')],
    ['an empty Authorization', 'malformed', withHeader('authorization', '')],
    ['another algorithm', 'malformed', respelt('AWS4-HMAC-SHA256', 'AWS4-ECDSA-P256-SHA256')],
    ['a bearer token', 'malformed', withHeader('authorization', 'Bearer a.b')],
    ['its signature', 'mismatch', respelt(/Signature=.*$/, `Signature=${'0'.repeat(64)}`)],
    ['a shorter signature', 'malformed', respelt(/Signature=../, 'Signature=')],
    [
      'a signature in capitals',
      'malformed',
      respelt(/Signature=.*$/, `Signature=${'A'.repeat(64)}`),
    ],
    ['a second signature', 'malformed', respelt(/$/, `, Signature=${'0'.repeat(64)}`)],
    ['its region', 'mismatch', respelt('eu-north-1', 'eu-north-2')],
    ['its access key', 'mismatch', respelt(pds.accessKeyId, 'HFTESTKEY00000000000')],
    ['one signed header less', 'mismatch', respelt('content-type;', '')],
  ]

  it.each(cases)('is refused for %s (%s)', async (_, code, request) => {
    expect(await codeOf(verify(request))).toBe(code)
  })

  it('is refused when a header is repeated', () => {
    expect(() => readHeaders(['Host', 'a', 'x-other', 'b', 'HOST', 'a'])).toThrow('repeated')
  })
})

describe('an unknown access key and a wrong secret', () => {
  async function attempt(
    key: AccessKey,
  ): Promise<{ looks: string[]; secrets: number; message: string }> {
    const looks: string[] = []
    let secrets = 0
    const watched: Credential = {
      ...credential,
      get secret() {
        secrets += 1
        return credential.secret
      },
    }
    const request = received(signRequest(call({ key })))
    const error = await verifySigV4(request, {
      findCredential: async (id) => {
        looks.push(id)
        return (await find(id)) && watched
      },
      service: 'kms',
      now,
    }).catch((error: unknown) => error as Error)
    return { looks, secrets, message: (error as Error).message }
  }

  it('get the same words, after one look-up each', async () => {
    const unknown = await attempt({ ...pds, accessKeyId: 'HFTESTKEY00000000000' })
    const wrong = await attempt({ ...pds, secretAccessKey: 'wrong' })
    expect(unknown.message).toBe(wrong.message)
    expect([unknown.looks.length, wrong.looks.length]).toEqual([1, 1])
    expect(wrong.secrets).toBe(1)
  })

  it('never cost a look-up while the request has no valid form', async () => {
    const looks: string[] = []
    const request = received(signRequest(call({ key: { ...pds, accessKeyId: 'SHORT' } })))
    const options = {
      service: 'kms' as const,
      now,
      findCredential: async (id: string) => {
        looks.push(id)
        return null
      },
    }
    await expect(verifySigV4(request, options)).rejects.toThrow(AuthenticationError)
    expect(looks).toEqual([])
  })
})

describe('a look-up that fails', () => {
  it('is thrown as it is, not as a wrong signature', async () => {
    const down = new Error('database down')
    const request = received(signRequest(call()))
    const options = { service: 'kms' as const, now, findCredential: () => Promise.reject(down) }
    await expect(verifySigV4(request, options)).rejects.toBe(down)
  })
})
