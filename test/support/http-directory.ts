import type { ServerResponse } from 'node:http'
import type { AuditRow } from './generate-logs.ts'
import { answerJson, startHttpServer } from './http-server.ts'

/**
 * A directory and a PDS in one, for what a command does over HTTP: it serves the logs that it is
 * given and lists their accounts. `fault` answers instead of it, if it likes.
 */
export type HttpDirectory = {
  readonly url: string
  readonly logs: Map<string, readonly AuditRow[]>
  /** When each log was asked for, in milliseconds. */
  readonly reads: { did: string; at: number }[]
  /** What `listRepos` lists; null: this PDS does not answer. */
  listed: readonly string[] | null
  fault: (did: string, response: ServerResponse) => boolean
  stop(): Promise<void>
}

const PAGE = 100

export async function startHttpDirectory(): Promise<HttpDirectory> {
  const directory: HttpDirectory = {
    url: '',
    logs: new Map(),
    reads: [],
    listed: [],
    fault: () => false,
    stop: async () => await server.stop(),
  }
  const server = await startHttpServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://test')
    if (url.pathname.endsWith('/com.atproto.sync.listRepos')) {
      return list(directory, url.searchParams.get('cursor'), response)
    }
    const did = decodeURIComponent(url.pathname.split('/')[1] ?? '')
    directory.reads.push({ did, at: performance.now() })
    if (directory.fault(did, response)) return
    const log = directory.logs.get(did)
    if (log === undefined) return answerJson(response, { message: 'DID not registered' }, 404)
    answerJson(response, log)
  })
  return Object.assign(directory, { url: server.url })
}

function list({ listed }: HttpDirectory, cursor: string | null, response: ServerResponse): void {
  if (listed === null) return answerJson(response, {}, 503)
  const start = Number(cursor ?? 0)
  const repos = listed.slice(start, start + PAGE).map((did) => ({ did, head: '', rev: '' }))
  const more = repos.length === 0 ? {} : { cursor: String(start + repos.length) }
  answerJson(response, { repos, ...more })
}
