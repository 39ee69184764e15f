import { setTimeout as sleep } from 'node:timers/promises'
import type { FreezeBody, FreezeView } from '../api/freeze.ts'
import type { HealthView, ReadinessView } from '../api/health.ts'
import type { KeyList, KeyView } from '../api/key.ts'
import type { Proposal, RequestList, RequestView, SayingBody } from '../api/request.ts'
import { createKeypair } from './keypair.ts'
import type { HoldfastKeypair } from './keypair.ts'
import { createTransport, readJson } from './transport.ts'
import type { Answer, ClientOptions } from './transport.ts'

export type ListOptions = {
  readonly state?: RequestView['state']
  /** `cursor` of the page before. */
  readonly cursor?: string
  /** 1 to 100, default 50. */
  readonly limit?: number
}

/** Every route of the JSON API. All throw ApiError for a problem and NoAnswerError for no answer. */
export type HoldfastClient = {
  propose(proposal: Proposal): Promise<RequestView>
  listRequests(options?: ListOptions): Promise<RequestList>
  readRequest(id: string): Promise<RequestView>
  /** Uses the key, or gives the recorded signature again; `proposed` waits for people, `signing` for a key. */
  sign(id: string): Promise<RequestView>
  /** Sends it to the PLC directory. What came of it: `state`, and the directory's words in `submission`. */
  submit(id: string): Promise<RequestView>
  /** `saying` is an officer's, who ends any request by a signed rejection; a caller ends its own. */
  cancel(id: string, saying?: SayingBody): Promise<RequestView>
  /** Officers only: the signed statement, and what proves it. */
  approve(id: string, saying: SayingBody): Promise<RequestView>
  reject(id: string, saying: SayingBody): Promise<RequestView>
  /** Officers only: stops signing for `all`, `caller NAME` or `key ID`. */
  freeze(body: FreezeBody): Promise<FreezeView>
  keys(): Promise<KeyList>
  /** A key of the caller's as `@atproto/crypto` knows one. @throws RangeError when there is none */
  keypair(keyId: string): Promise<HoldfastKeypair>
  health(): Promise<HealthView>
  /** Also when it is not ready, which is no failure of the call. */
  readiness(): Promise<ReadinessView>
  /** Prometheus text. */
  metrics(): Promise<string>
  /** The OpenAPI document. */
  openapi(): Promise<unknown>
}

export function createClient(options: ClientOptions): HoldfastClient {
  const call = createTransport(options)
  const get = async (path: string, query: Record<string, string> = {}): Promise<unknown> =>
    readJson(await call({ method: 'GET', path, query }))
  const post = async (path: string, body?: unknown): Promise<RequestView> =>
    readJson(await call({ method: 'POST', path, body })) as RequestView
  const act = (name: string) => async (id: string, body?: SayingBody) =>
    await post(`${requestPath(id)}/${name}`, body)

  const propose = async (proposal: Proposal): Promise<RequestView> =>
    await post('/v1/requests', proposal)
  const sign = async (id: string): Promise<RequestView> =>
    await untilSigned(async () => await post(`${requestPath(id)}/sign`))
  const keys = async (): Promise<KeyList> => (await get('/v1/keys')) as KeyList
  return {
    propose,
    sign,
    keys,
    submit: async (id) => await act('submit')(id),
    cancel: act('cancel'),
    approve: act('approvals'),
    reject: act('rejections'),
    freeze: async (body) =>
      readJson(await call({ method: 'POST', path: '/v1/freeze', body })) as FreezeView,
    listRequests: async (list = {}) => (await get('/v1/requests', queryOf(list))) as RequestList,
    readRequest: async (id) => (await get(requestPath(id))) as RequestView,
    keypair: async (keyId) => createKeypair(onlineKey(await keys(), keyId), { propose, sign }),
    health: async () => (await get('/healthz')) as HealthView,
    readiness: async () => readReadiness(await call({ method: 'GET', path: '/readyz' })),
    metrics: async () => readText(await call({ method: 'GET', path: '/metrics' })),
    openapi: async () => await get('/openapi.json'),
  }
}

/** Longer than a claim on the key lives. */
const SIGNING_RETRIES = 12
const SIGNING_PAUSE_MS = 1_000

/** Another call may be signing the same bytes; what it gets is ours too. */
async function untilSigned(ask: () => Promise<RequestView>): Promise<RequestView> {
  for (let retries = 0; ; retries += 1) {
    const request = await ask()
    if (request.state !== 'signing' || retries === SIGNING_RETRIES) return request
    await sleep(SIGNING_PAUSE_MS)
  }
}

function requestPath(id: string): string {
  return `/v1/requests/${encodeURIComponent(id)}`
}

/** In the order that SigV4 signs. */
function queryOf({ state, cursor, limit }: ListOptions): Record<string, string> {
  return {
    ...(cursor === undefined ? {} : { cursor }),
    ...(limit === undefined ? {} : { limit: String(limit) }),
    ...(state === undefined ? {} : { state }),
  }
}

function onlineKey({ keys }: KeyList, keyId: string): KeyView {
  const key = keys.find(({ id, class: keyClass }) => id === keyId && keyClass === 'online')
  if (key === undefined) throw new RangeError(`no online key ${keyId} is granted to this caller`)
  return key
}

function readReadiness(answer: Answer): ReadinessView {
  return readJson({
    ...answer,
    status: answer.status === 503 ? 200 : answer.status,
  }) as ReadinessView
}

function readText(answer: Answer): string {
  return answer.status === 200 ? answer.text : String(readJson(answer))
}
