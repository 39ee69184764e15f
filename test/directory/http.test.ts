import type { IncomingMessage, ServerResponse } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DirectoryError } from '../../src/directory/directory.ts'
import { parseRetryAfter } from '../../src/directory/json-get.ts'
import { listAccountsOverHttp } from '../../src/directory/pds-http.ts'
import { createPlcDirectory } from '../../src/directory/plc-http.ts'
import { answerJson, startHttpServer } from '../support/http-server.ts'
import type { TestServer } from '../support/http-server.ts'

const DID = 'did:plc:aaaaaaaaaaaaaaaaaaaaaaaa'

let server: TestServer
let asked: string[] = []
let answer: (request: IncomingMessage, response: ServerResponse) => void = () => {}

beforeAll(async () => {
  server = await startHttpServer((request, response) => {
    asked.push(request.url ?? '')
    answer(request, response)
  })
})
afterAll(async () => await server.stop())

const soon = () => AbortSignal.timeout(500)
const getLog = async () => await createPlcDirectory(`${server.url}/`).getLog(DID, soon())
const list = async (cursor: string | null = null) =>
  await listAccountsOverHttp(server.url, cursor, soon())

async function failureOf(call: () => Promise<unknown>): Promise<DirectoryError> {
  try {
    await call()
  } catch (error) {
    if (error instanceof DirectoryError) return error
    throw error
  }
  throw new Error('it did not fail')
}

type Answer = (response: ServerResponse) => void
const failures: Record<string, { answer: Answer; code: string }> = {
  'a 404': {
    answer: (response) => answerJson(response, { message: 'no' }, 404),
    code: 'not-registered',
  },
  'a 500': { answer: (response) => answerJson(response, [], 500), code: 'unknown' },
  'a redirect': {
    answer: (response) => response.writeHead(302, { location: '/elsewhere' }).end(),
    code: 'unknown',
  },
  'no answer by the deadline': { answer: () => {}, code: 'unknown' },
  'an answer that stops half-way': {
    answer: (response) => {
      response.writeHead(200, { 'content-length': '100' })
      response.write('[')
      setTimeout(() => response.destroy(), 20)
    },
    code: 'unknown',
  },
  'an answer that is not JSON': { answer: (response) => response.end('<html>'), code: 'malformed' },
}

describe.each(Object.entries(failures))('%s', (_name, { answer: failing, code }) => {
  test.each([
    ['of the directory', getLog],
    ['of a PDS', list],
  ])(`%s is ${code}`, async (_whose, call) => {
    answer = (_request, response) => failing(response)
    expect((await failureOf(call)).code).toBe(code)
  })
})

test('429 is a rate limit, with the time that the directory asks for', async () => {
  answer = (_request, response) => {
    response.setHeader('retry-after', '7')
    answerJson(response, { message: 'slow down' }, 429)
  }
  expect(await failureOf(getLog)).toMatchObject({ code: 'rate-limited', retryAfterMs: 7_000 })
  answer = (_request, response) => answerJson(response, {}, 429)
  expect(await failureOf(getLog)).toMatchObject({ code: 'rate-limited', retryAfterMs: null })
})

test('Retry-After is seconds or a date, and anything else is nothing', () => {
  const now = Date.UTC(2026, 0, 1)
  expect(parseRetryAfter('120', now)).toBe(120_000)
  expect(parseRetryAfter('Thu, 01 Jan 2026 00:00:30 GMT', now)).toBe(30_000)
  expect(parseRetryAfter('Wed, 31 Dec 2025 00:00:00 GMT', now)).toBe(0)
  for (const value of [null, '', '-1', '1.5e9x', 'soon']) {
    expect(parseRetryAfter(value, now)).toBeNull()
  }
})

describe('the accounts that a PDS lists', () => {
  const other = 'did:plc:bbbbbbbbbbbbbbbbbbbbbbbb'
  const repo = (did: string) => ({ did, head: 'bafy', rev: '3k', active: true })

  test('are asked for by the thousand, from the cursor on', async () => {
    asked = []
    answer = (_request, response) => answerJson(response, { repos: [repo(DID)], cursor: 'a::b' })
    expect(await list()).toEqual({ dids: [DID], cursor: 'a::b' })
    await list('a::b&limit=1')
    expect(asked).toEqual([
      '/xrpc/com.atproto.sync.listRepos?limit=1000',
      '/xrpc/com.atproto.sync.listRepos?limit=1000&cursor=a%3A%3Ab%26limit%3D1',
    ])
  })

  test('are did:plc only, each once', async () => {
    const repos = [DID, 'did:web:example.com', DID, other, 'did:plc:short', ''].map(repo)
    answer = (_request, response) => answerJson(response, { repos })
    expect(await list()).toEqual({ dids: [DID, other], cursor: null })
  })

  test('end with an empty page, whatever its cursor', async () => {
    answer = (_request, response) => answerJson(response, { repos: [], cursor: 'again' })
    expect(await list()).toEqual({ dids: [], cursor: null })
  })

  const malformed = [[], { repos: {} }, { repos: [{ did: 7 }] }, { repos: [], cursor: 7 }]
  test.each(malformed.map((body) => [body]))('are not to be read from %j', async (body) => {
    answer = (_request, response) => answerJson(response, body)
    expect((await failureOf(list)).code).toBe('malformed')
  })

  test('are bounded: an answer without end is broken off', async () => {
    answer = (_request, response) => {
      response.writeHead(200)
      const more = () => {
        while (!response.destroyed && response.write(' '.repeat(64 * 1024))) {}
        if (!response.destroyed) response.once('drain', more)
      }
      more()
    }
    const error = await failureOf(list)
    expect(error.message).toContain('more than')
    expect(error.code).toBe('malformed')
  })
})
