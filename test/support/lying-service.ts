import type { IncomingMessage, ServerResponse } from 'node:http'
import type { RequestView } from '../../src/api/request.ts'
import { startHttpServer } from './http-server.ts'

/** What a service in somebody else's hands answers in the place of the truth. */
export type Lie = (truth: RequestView) => unknown

/**
 * A service that somebody has taken over: it passes every call on, signatures and all, and changes what
 * it answers of a request. No real service lies, so this one is ours.
 */
export async function startLyingService(url: string) {
  let lie: Lie = (truth) => truth
  let isSilent = false
  const calls: string[] = []

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = 'GET', url: target = '/' } = request
    calls.push(`${method} ${target}`)
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const passed = await fetch(`${url}${target}`, {
      method,
      headers: {
        authorization: request.headers.authorization ?? '',
        ...(chunks.length === 0 ? {} : { 'content-type': 'application/json' }),
      },
      ...(chunks.length === 0 ? {} : { body: Buffer.concat(chunks) }),
    })
    const text = await passed.text()
    if (isSilent && method === 'POST') return void request.socket.destroy()
    const body = method === 'GET' ? JSON.stringify(lie(JSON.parse(text))) : text
    response.writeHead(passed.status, {
      'content-type': passed.headers.get('content-type') ?? 'application/json',
    })
    response.end(body)
  }

  const server = await startHttpServer((request, response) => void answer(request, response))
  return {
    url: server.url,
    stop: async () => await server.stop(),
    calls,
    tell: (next: Lie) => (lie = next),
    /** What is posted is done, and nobody hears of it. */
    losePosts: (lost: boolean) => (isSilent = lost),
  }
}
