import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { createClient } from '../../src/client/client.ts'
import { ApiError, NoAnswerError } from '../../src/client/error.ts'
import { createApp } from '../../src/http/app.ts'
import type { AppDeps } from '../../src/http/app.ts'
import { listen } from '../../src/http/server.ts'
import { doorDeps, pds, pdsToken, requestView } from '../http/door-deps.ts'

const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  await Promise.all(closing.splice(0).map(async (close) => await close()))
})

/** The doors without a store behind them. */
async function doors(changes: Partial<AppDeps> = {}): Promise<string> {
  const server = await listen(createApp(doorDeps(changes).deps), { host: '127.0.0.1', port: 0 })
  closing.push(server.close)
  return server.url
}

/** Somebody else's server. */
async function serverThat(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<string> {
  const server: Server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closing.push(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const bearer = { bearer: `${pds.accessKeyId}.${pdsToken}` }

describe('both kinds of credential', () => {
  it.each([
    ['SigV4', pds],
    ['a bearer token', bearer],
  ])('%s opens every route', async (_name, credential) => {
    const asked: unknown[] = []
    const listRequests: AppDeps['listRequests'] = async (query) => {
      asked.push(query)
      return []
    }
    const url = await doors({ listRequests, readRequest: async () => requestView(1) })
    const client = createClient({ url, credential })
    const { id } = requestView(1)
    const cursor = requestView(2).id
    await client.listRequests()
    await client.listRequests({ state: 'returned', cursor, limit: 7 })
    expect(asked).toEqual([
      { caller: 'pds', state: null, after: null, limit: 51 },
      { caller: 'pds', state: 'returned', after: cursor, limit: 8 },
    ])
    expect(await client.propose({ key: 'pds', unsigned: 'oA==' })).toEqual(requestView(1))
    for (const call of ['readRequest', 'sign', 'submit', 'cancel'] as const) {
      expect(await client[call](id)).toEqual(requestView(1))
    }
    expect((await client.keys()).keys[0]).toMatchObject({ id: 'pds', class: 'online' })
  })

  it('none opens what is open to everyone', async () => {
    const client = createClient({ url: await doors(), credential: null })
    expect(await client.health()).toEqual({ alive: true })
    expect(await client.readiness()).toMatchObject({ ready: true })
    expect(await client.metrics()).toBe('# no metrics\n')
    expect(await client.openapi()).toMatchObject({ openapi: '3.1.0' })
    await expect(client.keys()).rejects.toMatchObject({ status: 401, code: 'unauthenticated' })
  })

  it('the secret of SigV4 never crosses the wire', async () => {
    const seen: string[] = []
    const url = await serverThat((request, response) => {
      seen.push(JSON.stringify(request.rawHeaders))
      response.end('{"keys":[]}')
    })
    await createClient({ url, credential: pds }).keys()
    expect(seen).toHaveLength(1)
    expect(seen[0]).toContain(pds.accessKeyId)
    expect(seen[0]).not.toContain(pds.secretAccessKey)
  })
})

describe('what is no success', () => {
  it('is an ApiError with the problem', async () => {
    const client = createClient({ url: await doors(), credential: bearer })
    const error = await client.readRequest(requestView(1).id).catch((error: unknown) => error)
    expect(error).toBeInstanceOf(ApiError)
    expect(error).toMatchObject({
      status: 404,
      code: 'not-found',
      message: 'this caller has no such request',
    })
  })

  it('readiness that is not there is an answer, and is not asked for again', async () => {
    let asked = 0
    const url = await doors({
      readiness: async () => {
        asked += 1
        return { ready: false, parts: {}, warnings: [] }
      },
    })
    const client = createClient({ url, credential: null })
    expect(await client.readiness()).toMatchObject({ ready: false })
    expect(asked).toBe(1)
  })

  it('busy is asked again, twice and no more', async () => {
    let asked = 0
    const submit: AppDeps['submit'] = async () => {
      asked += 1
      return asked < 3 ? { kind: 'busy', message: 'not now' } : { kind: 'sent' }
    }
    const url = await doors({ submit, readRequest: async () => requestView(1) })
    const client = createClient({ url, credential: bearer })
    expect(await client.submit(requestView(1).id)).toEqual(requestView(1))
    asked = -10
    await expect(client.submit(requestView(1).id)).rejects.toMatchObject({ code: 'busy' })
    expect(asked).toBe(-7)
  })

  it.each<[string, (request: IncomingMessage, response: ServerResponse) => void]>([
    ['no JSON', (_request, response) => response.end('<html>')],
    [
      'an answer that breaks off',
      (_, response) => void response.writeHead(200, { 'content-length': 9 }).socket?.end('x'),
    ],
    ['no answer in time', () => {}],
    [
      'a redirect',
      (_, response) => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(),
    ],
  ])('%s is a NoAnswerError', async (_name, answer) => {
    const client = createClient({
      url: await serverThat(answer),
      credential: bearer,
      timeoutMs: 300,
    })
    await expect(client.keys()).rejects.toBeInstanceOf(NoAnswerError)
  })

  it('nobody there is a NoAnswerError', async () => {
    const client = createClient({ url: 'http://127.0.0.1:1', credential: bearer })
    await expect(client.keys()).rejects.toBeInstanceOf(NoAnswerError)
  })

  it.each(['"Bad Gateway"', '<html>', 'null', '{"code":1}'])(
    'an answer of something in between, %s, is an ApiError without a problem',
    async (text) => {
      const url = await serverThat((_, response) => response.writeHead(502).end(text))
      const error = await createClient({ url, credential: bearer })
        .keys()
        .catch((error: unknown) => error)
      expect(error).toBeInstanceOf(ApiError)
      expect(error).toMatchObject({ status: 502, problem: null, code: null })
    },
  )
})
