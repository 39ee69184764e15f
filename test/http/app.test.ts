import { describe, expect, it } from 'vitest'
import type { AppDeps } from '../../src/http/app.ts'
import { createApp } from '../../src/http/app.ts'
import type { Signed } from '../support/aws-client.ts'
import { kmsCall, signRequest, v1Call } from '../support/aws-client.ts'
import type { LogLine } from './door-deps.ts'
import { doorDeps, pds, pdsToken, requestView, send } from './door-deps.ts'

type Route = {
  method: 'GET' | 'POST'
  path: string
  door: 'open' | 'kms' | 'v1'
  /** What a good request carries. */
  body?: string
  /** A caller is told 403. */
  officers?: true
}

/** Every route there is. A new one is refused by the first test until it stands here, and then all others hold for it. */
const routes: Route[] = [
  { method: 'GET', path: '/healthz', door: 'open' },
  { method: 'GET', path: '/readyz', door: 'open' },
  { method: 'GET', path: '/metrics', door: 'open' },
  { method: 'GET', path: '/openapi.json', door: 'open' },
  { method: 'POST', path: '/kms', door: 'kms' },
  { method: 'POST', path: '/kms/', door: 'kms' },
  { method: 'GET', path: '/v1/requests', door: 'v1' },
  {
    method: 'POST',
    path: '/v1/requests',
    door: 'v1',
    body: JSON.stringify({ key: 'pds', unsigned: 'oA==' }),
  },
  { method: 'GET', path: '/v1/requests/:id', door: 'v1' },
  { method: 'POST', path: '/v1/requests/:id/sign', door: 'v1' },
  { method: 'POST', path: '/v1/requests/:id/submit', door: 'v1' },
  { method: 'POST', path: '/v1/requests/:id/cancel', door: 'v1' },
  { method: 'POST', path: '/v1/requests/:id/approvals', door: 'v1', officers: true },
  { method: 'POST', path: '/v1/requests/:id/rejections', door: 'v1', officers: true },
  { method: 'POST', path: '/v1/freeze', door: 'v1', officers: true },
  { method: 'GET', path: '/v1/keys', door: 'v1' },
  { method: 'GET', path: '/v1/audit/checkpoint', door: 'v1' },
  { method: 'GET', path: '/v1/audit/entries', door: 'v1', officers: true },
  { method: 'GET', path: '/v1/audit/proof/:index', door: 'v1', officers: true },
]
/** Of a page for people, which `passkey.test.ts` is about. */
const ofThePage = [
  'GET /console/passkey',
  'POST /console/passkey/open',
  'POST /console/passkey/answer',
]
/** What `Allow` says on each path. */
const allowed = (path: string): string => {
  const methods = routes.filter((route) => route.path === path).map(({ method }) => method)
  return methods.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : method)).join(', ')
}
const kmsRoutes = routes.filter(({ door }) => door === 'kms')
const v1Routes = routes.filter(({ door }) => door === 'v1')

const secrets = [pds.secretAccessKey, pdsToken, 'hunter2']

function goodRequest({ method, path, door, body = '' }: Route): Signed {
  const concrete = path.replace(':index', '0').replace(':id', requestView(1).id)
  if (door === 'kms') {
    return signRequest(kmsCall('GetPublicKey', { KeyId: 'pds' }, pds, { path }))
  }
  const headers = { host: '127.0.0.1:2590', 'content-type': 'application/json' }
  return signRequest(v1Call(concrete, '', pds, { method, body, headers }))
}

async function ask(
  request: Signed,
  changes: Partial<AppDeps> = {},
): Promise<{ response: Response; text: string; lines: LogLine[] }> {
  const { deps, lines } = doorDeps({
    readRequest: async () => requestView(1),
    readCheckpoint: async () => ({ size: 1, note: 'origin' }),
    ...changes,
  })
  const response = await send(createApp(deps), request)
  return { response, text: await response.text(), lines }
}

it('the app has these routes and no others', () => {
  const registered = createApp(doorDeps().deps)
    .routes.filter(({ method }) => method !== 'ALL')
    .map(({ method, path }) => `${method} ${path}`)
  expect(registered.toSorted()).toEqual(
    [...routes.map(({ method, path }) => `${method} ${path}`), ...ofThePage].toSorted(),
  )
})

describe.each(routes)('$method $path', (route) => {
  it('answers a good request with success, JSON and the security headers', async () => {
    const { response, text, lines } = await ask(goodRequest(route))
    const good = route.body === undefined ? 200 : 201
    expect(response.status).toBe(route.officers === true ? 403 : good)
    if (route.path !== '/metrics') JSON.parse(text)
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'cache-control': 'no-store',
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
      'cross-origin-resource-policy': 'same-origin',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
    })
    expect(response.headers.get('access-control-allow-origin')).toBeNull()
    expect(response.headers.get('set-cookie')).toBeNull()
    expect(lines).toHaveLength(route.door === 'open' ? 0 : 1)
  })

  it.each(['PUT', 'DELETE', 'PATCH', 'OPTIONS'])('does not take %s', async (method) => {
    const headers = { host: 'h', authorization: `Bearer ${pds.accessKeyId}.${pdsToken}` }
    const good = goodRequest(route)
    const { response, text } = await ask({ ...good, method, headers: Object.entries(headers) })
    expect(response.status).toBe(405)
    expect(response.headers.get('allow')).toBe(allowed(route.path))
    expect(response.headers.get('content-type')).toBe('application/problem+json')
    expect(JSON.parse(text)).toMatchObject({ status: 405, code: 'method-not-allowed' })
  })

  it('says nothing of its own failure, in the answer or as a stack', async () => {
    const fail = (): never => {
      throw new Error('password=hunter2')
    }
    const failing = {
      findCredential: fail,
      readiness: fail,
      metrics: fail,
      initialCredentials: [],
    } satisfies Partial<AppDeps>
    const { response, text } = await ask(goodRequest(route), failing)
    expect(text).not.toMatch(/hunter2|node_modules|\.ts:|Error:/)
    const cannotFail = ['/healthz', '/openapi.json'].includes(route.path)
    expect(response.status).toBe(cannotFail ? 200 : 500)
    expect(response.headers.get('x-content-type-options')).toBe('nosniff')
  })

  it('writes no secret to the log or the answer', async () => {
    const bearer: Signed = {
      ...goodRequest(route),
      headers: [
        ['host', 'h'],
        ['authorization', `Bearer ${pds.accessKeyId}.${pdsToken}`],
      ],
    }
    for (const request of [goodRequest(route), bearer]) {
      const { text, lines } = await ask(request)
      for (const secret of secrets) expect(text + JSON.stringify(lines)).not.toContain(secret)
    }
  })
})

describe.each([...kmsRoutes, ...v1Routes])('$method $path without a caller', (route) => {
  const asked: string[] = []
  const untouchable = {
    signNow: async () => {
      asked.push('signNow')
      return { kind: 'malformed', message: '' }
    },
    keysOf: () => {
      asked.push('keysOf')
      return []
    },
    listRequests: async () => {
      asked.push('listRequests')
      return []
    },
    readRequest: async () => {
      asked.push('readRequest')
      return null
    },
  } satisfies Partial<AppDeps>
  const good = goodRequest(route)
  const without: Signed['headers'] = good.headers.filter(([name]) => name !== 'authorization')
  const replaced = (value: string): Signed => ({
    ...good,
    headers: [...without, ['authorization', value]],
  })
  const stale = (): Signed => {
    const time = new Date(Date.now() - 301_000)
    return route.door === 'kms'
      ? signRequest(kmsCall('GetPublicKey', { KeyId: 'pds' }, pds, { path: route.path, time }))
      : signRequest(v1Call(good.target, '', pds, { time }))
  }

  it.each<[string, () => Signed]>([
    ['no Authorization', () => ({ ...good, headers: without })],
    ['an empty Authorization', () => replaced('')],
    ['a wrong token', () => replaced(`Bearer ${pds.accessKeyId}.${'x'.repeat(28)}`)],
    ['a basic password', () => replaced('Basic cGRzOnBkcw==')],
    ['two Authorizations', () => ({ ...good, headers: [...good.headers, ...good.headers] })],
    ['another path than was signed', () => ({ ...good, target: `${good.target}?x=1` })],
    [
      'a signature in the query',
      () => ({ ...good, headers: without, target: `${good.target}?X-Amz-Signature=1` }),
    ],
    ['an old signature', stale],
  ])('is refused for %s and asks nobody', async (_, request) => {
    const { response } = await ask(request(), untouchable)
    expect([400, 401]).toContain(response.status)
    expect(asked).toEqual([])
  })
})

describe.each(v1Routes)('$path with a bad signature', (route) => {
  it('is a 401 problem that names the schemes', async () => {
    const { response, text } = await ask({ ...goodRequest(route), headers: [['host', 'h']] })
    expect(response.status).toBe(401)
    expect(response.headers.get('content-type')).toBe('application/problem+json')
    expect(response.headers.get('www-authenticate')).toBe(
      'Bearer, AWS4-HMAC-SHA256, Holdfast-Officer',
    )
    expect(JSON.parse(text)).toEqual({
      type: 'about:blank',
      title: 'Unauthorized',
      status: 401,
      code: 'unauthenticated',
      detail: 'the Authorization header is missing',
      correlationId: expect.stringMatching(/^[0-9a-f-]{36}$/),
    })
  })
})

describe('elsewhere', () => {
  it.each(['/', '/kms/x', '/kms//', '/V1/keys', '/healthz/', '/%2e%2e/etc/passwd', '/.git/config'])(
    '%s is a 404 problem',
    async (target) => {
      const request: Signed = { method: 'GET', target, headers: [], body: new Uint8Array() }
      const { response, text } = await ask(request)
      expect(response.status).toBe(404)
      expect(JSON.parse(text)).toMatchObject({ code: 'not-found' })
    },
  )

  it('below /v1 a stranger is not told what there is', async () => {
    const request: Signed = { method: 'GET', target: '/v1/x', headers: [], body: new Uint8Array() }
    expect((await ask(request)).response.status).toBe(401)
    expect((await ask(signRequest(v1Call('/v1/x', '', pds)))).response.status).toBe(404)
  })
})

describe('too many look-ups at once', () => {
  it('are a 503 problem with Retry-After on /v1', async () => {
    const { response, text } = await ask(signRequest(v1Call('/v1/keys', '', pds)), {
      limits: { lookUps: 0 },
    })
    expect(response.status).toBe(503)
    expect(response.headers.get('retry-after')).toBe('1')
    expect(JSON.parse(text)).toMatchObject({ code: 'busy' })
  })
})

describe('GET /readyz', () => {
  const request: Signed = { method: 'GET', target: '/readyz', headers: [], body: new Uint8Array() }

  it('answers 503 and names the part that is not ready', async () => {
    const parts = {
      database: { ok: false, message: 'no answer' },
      keys: { ok: true, message: 'ok' },
    }
    const readiness = async (): ReturnType<AppDeps['readiness']> => ({
      ready: false,
      parts,
      warnings: ['w'],
    })
    const { response, text } = await ask(request, { readiness })
    expect(response.status).toBe(503)
    expect(JSON.parse(text)).toEqual({ ready: false, parts, warnings: ['w'] })
  })

  it('checks once for all who ask within a second', async () => {
    let checks = 0
    let now = 0
    const readiness = async (): ReturnType<AppDeps['readiness']> => {
      checks += 1
      return { ready: true, parts: {}, warnings: [] }
    }
    const app = createApp(doorDeps({ readiness, now: () => new Date(now) }).deps)
    await Promise.all([send(app, request), send(app, request), send(app, request)])
    now = 999
    await send(app, request)
    expect(checks).toBe(1)
    now = 1000
    await send(app, request)
    expect(checks).toBe(2)
  })
})
