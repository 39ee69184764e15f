import { describe, expect, it } from 'vitest'
import type { RequestView } from '../../../src/api/request.ts'
import type { AppDeps } from '../../../src/http/app.ts'
import { createApp } from '../../../src/http/app.ts'
import type { AccessKey } from '../../support/aws-client.ts'
import { signRequest, v1Call } from '../../support/aws-client.ts'
import { doorDeps, onlineKey, other, pds, recoveryKey, requestView, send } from '../door-deps.ts'

type Answer = { status: number; body: Record<string, unknown> }

async function get(
  path: string,
  query: string,
  changes: Partial<AppDeps> = {},
  key: AccessKey = pds,
): Promise<Answer> {
  const signed = signRequest(v1Call(path, query, key))
  const response = await send(createApp(doorDeps(changes).deps), signed)
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

/** Requests of one caller in memory, paged as the store pages them. */
function storeOf(all: readonly RequestView[]): Pick<AppDeps, 'listRequests' | 'readRequest'> {
  const newestFirst = all.toSorted((a, b) => (a.createdAt < b.createdAt ? 1 : -1))
  return {
    listRequests: async ({ caller, state, after, limit }) => {
      const start = after === null ? 0 : newestFirst.findIndex(({ id }) => id === after) + 1
      return newestFirst
        .slice(start)
        .filter((view) => view.caller === caller && (state === null || view.state === state))
        .slice(0, limit)
    },
    readRequest: async ({ caller, id }) =>
      all.find((view) => view.caller === caller && view.id === id) ?? null,
  }
}

const seven = [1, 2, 3, 4, 5, 6, 7].map((n) =>
  requestView(n, n % 2 === 0 ? { state: 'denied', signature: null, cid: null } : {}),
)

describe('GET /v1/requests', () => {
  it('pages through all of them, newest first, each once', async () => {
    const pages: string[][] = []
    let cursor: string | null = ''
    while (cursor !== null) {
      const query: string = cursor === '' ? 'limit=3' : `cursor=${cursor}&limit=3`
      const { status, body } = await get('/v1/requests', query, storeOf(seven))
      expect(status).toBe(200)
      pages.push((body['requests'] as { id: string }[]).map(({ id }) => id.slice(-1)))
      cursor = body['cursor'] as string | null
    }
    expect(pages).toEqual([['7', '6', '5'], ['4', '3', '2'], ['1']])
  })

  it('ends where a full page is the last', async () => {
    const { body } = await get('/v1/requests', 'limit=7', storeOf(seven))
    expect(body['requests']).toHaveLength(7)
    expect(body['cursor']).toBeNull()
  })

  it('shows one state when asked', async () => {
    const { body } = await get('/v1/requests', 'state=denied', storeOf(seven))
    expect((body['requests'] as RequestView[]).map(({ state }) => state)).toEqual([
      'denied',
      'denied',
      'denied',
    ])
  })

  it('asks for 50 by default and for no more than 100', async () => {
    const limits: number[] = []
    const listRequests: AppDeps['listRequests'] = async ({ limit }) => {
      limits.push(limit)
      return []
    }
    await get('/v1/requests', '', { listRequests })
    await get('/v1/requests', 'limit=100', { listRequests })
    // One more than is shown says whether there are others.
    expect(limits).toEqual([51, 101])
  })

  it('shows another caller nothing of it', async () => {
    const { body } = await get('/v1/requests', '', storeOf(seven), other)
    expect(body).toEqual({ requests: [], cursor: null })
  })

  it.each([
    'limit=0',
    'limit=101',
    'limit=-1',
    'limit=1e1',
    'limit=',
    'state=unknown',
    'state=DENIED',
    'cursor=1',
    `cursor=${'0'.repeat(36)}`,
    'limit=1&limit=2',
    'caller=other',
    '__proto__=x',
  ])('refuses the query %s', async (query) => {
    const { status, body } = await get('/v1/requests', query)
    expect([status, body['code']]).toEqual([400, 'malformed'])
  })
})

describe('GET /v1/requests/:id', () => {
  it('shows the whole request', async () => {
    const view = seven[0]!
    const { status, body } = await get(`/v1/requests/${view.id}`, '', storeOf(seven))
    expect(status).toBe(200)
    expect(body).toEqual(JSON.parse(JSON.stringify(view)))
    expect(body['createdAt']).toBe('2026-01-01T00:00:01.000Z')
  })

  it('gives the same 404 for what is absent, foreign or no id', async () => {
    const foreign = await get(`/v1/requests/${seven[0]!.id}`, '', storeOf(seven), other)
    const absent = await get(`/v1/requests/${requestView(99).id}`, '', storeOf(seven), other)
    const asked: unknown[] = []
    const readRequest: AppDeps['readRequest'] = async (query) => {
      asked.push(query)
      return null
    }
    const noId = await get('/v1/requests/not-an-id', '', { readRequest })
    for (const { status, body } of [foreign, absent, noId]) {
      expect(status).toBe(404)
      expect({ ...body, correlationId: '' }).toEqual({ ...foreign.body, correlationId: '' })
    }
    expect(asked).toEqual([])
  })
})

describe('POST /v1/requests/:id/sign', () => {
  const signing = requestView(1, { state: 'signing', signature: null, signedOperation: null })
  const busy: AppDeps['signRequest'] = async () => ({
    kind: 'busy',
    requestId: signing.id,
    message: 'these bytes are being signed by another call',
  })

  async function sign(changes: Partial<AppDeps>): Promise<Answer> {
    const path = `/v1/requests/${signing.id}/sign`
    const signed = signRequest(v1Call(path, '', pds, { method: 'POST' }))
    const response = await send(createApp(doorDeps(changes).deps), signed)
    return { status: response.status, body: (await response.json()) as Record<string, unknown> }
  }

  it('says that another call is at it, which is no failure', async () => {
    const answer = await sign({ signRequest: busy, readRequest: async () => signing })
    expect(answer).toMatchObject({ status: 202, body: { state: 'signing', signature: null } })
  })

  it('has the signature when that call was quicker than the look', async () => {
    const answer = await sign({ signRequest: busy, readRequest: async () => requestView(1) })
    expect(answer).toMatchObject({ status: 200, body: { state: 'returned' } })
  })

  it('is a 503 problem when nobody is at it', async () => {
    const approved = { ...signing, state: 'approved' as const }
    const answer = await sign({ signRequest: busy, readRequest: async () => approved })
    expect(answer).toMatchObject({ status: 503, body: { code: 'busy', request: signing.id } })
    const away: AppDeps['signRequest'] = async () => ({
      kind: 'busy',
      requestId: null,
      message: 'away',
    })
    expect(await sign({ signRequest: away })).toMatchObject({ status: 503, body: { code: 'busy' } })
  })

  it('waits for approval with a 202', async () => {
    const waiting = { ...signing, state: 'proposed' as const }
    const answer = await sign({
      signRequest: async () => ({
        kind: 'waiting',
        requestId: signing.id,
        message: 'approval required',
      }),
      readRequest: async () => waiting,
    })
    expect(answer).toMatchObject({ status: 202, body: { state: 'proposed' } })
  })
})

describe('GET /v1/keys', () => {
  it('shows the keys of the caller, and nothing of where they lie', async () => {
    const { body } = await get('/v1/keys', '', { keysOf: () => [onlineKey, recoveryKey] })
    expect(body).toEqual({
      keys: [
        { id: 'pds', did: onlineKey.did, curve: 'K-256', class: 'online', development: true },
        {
          id: 'recovery',
          did: onlineKey.did,
          curve: 'K-256',
          class: 'recovery',
          development: true,
        },
      ],
    })
  })
})
