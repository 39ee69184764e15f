import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildOpenApi } from '../../src/http/openapi.ts'
import { genesisOf } from '../support/operations.ts'
import { bearerOf, startService } from '../support/service.ts'
import type { Service } from '../support/service.ts'
import { createAnswerCheck, operationsOf } from './document.ts'
import type { Described, Document } from './document.ts'

const document = buildOpenApi() as unknown as Document
const check = createAnswerCheck(document)
const routes = operationsOf(document).filter(({ path }) => path.startsWith('/v1/'))
const named = routes.map((route) => [`${route.method} ${route.path}`, route] as const)

let service: Service
/** A request of the caller's own. */
let id: string

beforeAll(async () => {
  service = await startService()
  const operation = genesisOf('refusals', [service.keyDid])
  const { request } = await ask(routes[0]!, { body: JSON.stringify({ key: 'pds', operation }) })
  id = request
})
afterAll(async () => await service.stop())

type Spoiled = {
  authorization?: string
  body?: string
  contentType?: string
  query?: string
  id?: string
}

const absent = '00000000-0000-4000-8000-000000000000'

/** Sends to a route; the answer must be one that the document describes. */
async function ask(route: Described, spoiled: Spoiled = {}) {
  const { authorization = bearerOf(service.pds), query = '' } = spoiled
  const needed = route.operation.requestBody?.required === true
  const body = spoiled.body ?? (needed ? '{}' : '')
  const path = route.path.replace('{id}', spoiled.id ?? id)
  const response = await fetch(`${service.url}${path}${query}`, {
    method: route.method,
    headers: {
      ...(authorization === '' ? {} : { authorization }),
      ...(body === '' ? {} : { 'content-type': spoiled.contentType ?? 'application/json' }),
    },
    ...(body === '' || route.method === 'GET' ? {} : { body }),
  })
  const contentType = response.headers.get('content-type') ?? ''
  const answer = (await response.json()) as Record<string, string>
  expect(check(route, { status: response.status, contentType, body: answer })).toEqual([])
  return { status: response.status, code: answer['code'], request: answer['id'] ?? '' }
}

const officersOnly = ['approveRequest', 'rejectRequest', 'listEntries', 'proveEntry', 'freeze']
const ofOfficers = named.filter(([, { operation }]) => officersOnly.includes(operation.operationId))
const ofCallers = named.filter((route) => !ofOfficers.includes(route))
const posts = ofCallers.filter(([, { method }]) => method === 'POST')
const withId = ofCallers.filter(([, { path }]) => path.includes('{id}'))

describe.each(ofOfficers)('%s', (_, route) => {
  it.each(['{}', '[', ''])('answers a caller with 403, whatever it sends: %j', async (body) => {
    expect(await ask(route, { body })).toMatchObject({ status: 403, code: 'forbidden' })
    const answer = await ask(route, { body, id: absent })
    expect(answer).toMatchObject({ status: 403, code: 'forbidden' })
  })
})

describe.each(named)('%s', (_, route) => {
  it.each([
    ['no credential', ''],
    ['a wrong token', `Bearer HFAKAAAAAAAAAAAAAAAA.${'x'.repeat(43)}`],
    ['a password', 'Basic cGRzOnBkcw=='],
    ['a SigV4 header without a signature', 'AWS4-HMAC-SHA256 Credential=x'],
  ])('answers %s with 401', async (_name, authorization) => {
    expect(await ask(route, { authorization })).toMatchObject({
      status: 401,
      code: 'unauthenticated',
    })
  })
})

describe.each(posts)('%s', (_, route) => {
  it('answers a body above 64 kB with 413', async () => {
    const body = JSON.stringify({ key: 'x'.repeat(70_000) })
    expect(await ask(route, { body })).toMatchObject({ status: 413, code: 'too-large' })
  })

  it('answers 413 to a stranger too, before it asks who that is', async () => {
    const body = ' '.repeat(70_000)
    const answer = await ask(route, { body, authorization: '' })
    expect(answer).toMatchObject({ status: 413, code: 'too-large' })
  })

  it.each(['[', 'null', '[]', '"x"', '{"__proto__": {}}', '{"key":"pds","x":1}', '\u0000'])(
    'answers the body %j with 400',
    async (body) => {
      expect(await ask(route, { body })).toMatchObject({ status: 400, code: 'malformed' })
    },
  )
})

describe.each(withId)('%s', (_, route) => {
  it.each([
    ['an id of nothing', absent],
    ['no id at all', 'x'],
    ['an id in upper case', absent.replaceAll('0', 'A')],
  ])('answers %s with 404', async (_name, wrong) => {
    expect(await ask(route, { id: wrong })).toMatchObject({ status: 404, code: 'not-found' })
  })

  it("answers another caller's request with the same 404", async () => {
    const answer = await ask(route, { authorization: bearerOf(service.other) })
    expect(answer).toMatchObject({ status: 404, code: 'not-found' })
  })
})

describe('POST /v1/requests', () => {
  const route = routes.find(({ operation }) => operation.operationId === 'proposeRequest')!
  const operation = genesisOf('refusals-2', [
    'did:key:zQ3shXGz9bgMurrofvVhawDcp1fsRwUuEZtVwULuHDk9mZWJW',
  ])
  const post = async (body: unknown) => await ask(route, { body: JSON.stringify(body) })

  it.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/jsonx',
    'application/json; charset=latin1',
  ])('answers the content-type %s with 415', async (contentType) => {
    const answer = await ask(route, { contentType })
    expect(answer).toMatchObject({ status: 415, code: 'unsupported-media-type' })
  })

  it.each([
    ['an unknown key', 'nobody'],
    ['an offline key', 'recovery'],
    ['a key named like a field of every object', '__proto__'],
  ])('answers %s with 404', async (_name, key) => {
    expect(await post({ key, operation })).toMatchObject({ status: 404, code: 'not-found' })
  })

  it.each<[string, unknown]>([
    ['a signed operation', { key: 'pds', operation: { ...operation, sig: 'x'.repeat(86) } }],
    ['an empty signature', { key: 'pds', operation: { ...operation, sig: '' } }],
    ['a legacy operation', { key: 'pds', operation: { ...operation, type: 'create' } }],
    ['no type', { key: 'pds', operation: { ...operation, type: '' } }],
    ['an unknown field', { key: 'pds', operation: { ...operation, extra: 1 } }],
    ['a missing field', { key: 'pds', operation: { type: 'plc_operation', prev: null } }],
    ['a prev that is no CID', { key: 'pds', operation: { ...operation, prev: 'x' } }],
    ['both forms at once', { key: 'pds', operation, unsigned: 'oA==' }],
    ['neither form', { key: 'pds' }],
    ['base64 with a line break', { key: 'pds', unsigned: 'oA=\n=' }],
    ['base64 spelled otherwise', { key: 'pds', unsigned: 'oB==' }],
    ['base64 of no operation', { key: 'pds', unsigned: 'oA==' }],
    ['base64 that is too long', { key: 'pds', unsigned: 'A'.repeat(6000) }],
    ['an empty key', { key: '', operation }],
  ])('answers %s with 400', async (_name, body) => {
    expect(await post(body)).toMatchObject({ status: 400, code: 'malformed' })
  })

  it('answers an operation of its own key with 201, so that the refusals above mean something', async () => {
    const good = genesisOf('refusals-3', [service.keyDid])
    expect(await post({ key: 'pds', operation: good })).toMatchObject({ status: 201 })
  })
})

describe('GET /v1/requests', () => {
  const route = routes.find(({ operation }) => operation.operationId === 'listRequests')!

  it.each(['?limit=0', '?limit=x', '?state=?', '?cursor=x', '?limit=1&limit=1', '?x=1'])(
    'answers the query %s with 400',
    async (query) => {
      expect(await ask(route, { query })).toMatchObject({ status: 400, code: 'malformed' })
    },
  )

  it('shows another caller none of them, and none behind an id of theirs', async () => {
    const authorization = bearerOf(service.other)
    for (const query of ['', `?cursor=${id}`]) {
      expect(await ask(route, { authorization, query })).toMatchObject({ status: 200 })
      const answer = await fetch(`${service.url}/v1/requests${query}`, {
        headers: { authorization },
      })
      expect(await answer.json()).toEqual({ requests: [], cursor: null })
    }
  })
})
