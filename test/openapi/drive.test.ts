import createClient from 'openapi-fetch'
import type { Middleware } from 'openapi-fetch'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { signingBytes } from '../../src/plc/encode.ts'
import type { PlcOperation } from '../../src/plc/operation.ts'
import { genesisOf } from '../support/operations.ts'
import { bearerOf, startService } from '../support/service.ts'
import type { Service } from '../support/service.ts'
import { createAnswerCheck, operationsOf } from './document.ts'
import type { Document } from './document.ts'
import type { paths } from './generated.d.ts'

let service: Service
let client: ReturnType<typeof createClient<paths>>
/** Of every answer: whose it was, and what is not as the document says. */
const answers: { operationId: string; status: number; wrong: string[] }[] = []

beforeAll(async () => {
  service = await startService()
  client = createClient<paths>({
    baseUrl: service.url,
    headers: { authorization: bearerOf(service.pds) },
  })
  client.use(judge((await (await fetch(`${service.url}/openapi.json`)).json()) as Document))
})
afterAll(async () => await service.stop())

/** Holds each answer against the document that the client was made from. */
function judge(document: Document): Middleware {
  const check = createAnswerCheck(document)
  return {
    async onResponse({ request, response, schemaPath }) {
      const described = operationsOf(document).find(
        ({ method, path }) => method === request.method && path === schemaPath,
      )
      if (described === undefined) throw new Error(`${request.method} ${schemaPath}`)
      const contentType = response.headers.get('content-type') ?? ''
      const text = await response.clone().text()
      const body: unknown = contentType.includes('json') ? JSON.parse(text) : text
      answers.push({
        operationId: described.operation.operationId,
        status: response.status,
        wrong: check(described, { status: response.status, contentType, body }),
      })
    },
  }
}

let accounts = 0
const genesis = (): PlcOperation => genesisOf(`driven-${(accounts += 1)}`, [service.keyDid])

async function proposed(operation: PlcOperation = genesis()): Promise<string> {
  const { data } = await client.POST('/v1/requests', { body: { key: 'pds', operation } })
  return data?.id ?? ''
}

const own = (id: string) => ({ params: { path: { id } } })

it('a request goes all its way through the generated client', async () => {
  const operation = genesis()
  const id = await proposed(operation)
  const unsigned = Buffer.from(signingBytes(operation)).toString('base64')
  const again = await client.POST('/v1/requests', { body: { key: 'pds', unsigned } })
  expect(again.data?.id).toBe(id)
  const signed = await client.POST('/v1/requests/{id}/sign', own(id))
  expect(signed.data?.state).toBe('returned')
  const submitted = await client.POST('/v1/requests/{id}/submit', own(id))
  expect(submitted.data).toMatchObject({ state: 'confirmed', submission: { outcome: 'accepted' } })
  const read = await client.GET('/v1/requests/{id}', own(id))
  expect(read.data).toEqual(submitted.data)
})

it('a submission without an answer is a 202', async () => {
  const id = await proposed()
  await client.POST('/v1/requests/{id}/sign', own(id))
  service.directory.fail({ on: 'submit', mode: 'refuse', times: 1 })
  const { response, data } = await client.POST('/v1/requests/{id}/submit', own(id))
  expect([response.status, data?.submission?.outcome]).toEqual([202, 'unknown'])
})

it('what is refused is typed too', async () => {
  const denied = await client.POST('/v1/requests', {
    body: { key: 'pds', operation: { ...genesis(), rotationKeys: [] } },
  })
  expect(denied.error).toMatchObject({ code: 'denied', rule: 'PLC-ROTATION-KEYS-EMPTY' })
  const id = denied.error?.request ?? ''
  expect((await client.POST('/v1/requests/{id}/sign', own(id))).error?.code).toBe('conflict')
  expect((await client.POST('/v1/requests/{id}/submit', own(id))).error?.code).toBe('conflict')
  expect((await client.POST('/v1/requests/{id}/cancel', own(id))).error?.code).toBe('conflict')
})

it('what only officers say is refused to a caller, typed', async () => {
  const id = await proposed()
  const signature = 'A'.repeat(86)
  const body = {
    statement: 'oA==',
    evidence: { kind: 'did:key' as const, did: service.keyDid, signature },
  }
  const said = { ...own(id), body }
  expect((await client.POST('/v1/requests/{id}/approvals', said)).error?.code).toBe('forbidden')
  expect((await client.POST('/v1/requests/{id}/rejections', said)).error?.code).toBe('forbidden')
  expect((await client.GET('/v1/audit/entries')).error?.code).toBe('forbidden')
  const first = { params: { path: { index: '0' } } }
  expect((await client.GET('/v1/audit/proof/{index}', first)).error?.code).toBe('forbidden')
  const freeze = await client.POST('/v1/freeze', { body: { scope: 'all' } })
  expect(freeze.error?.code).toBe('forbidden')
})

it('lists, keys and the open routes', async () => {
  await client.POST('/v1/requests/{id}/cancel', own(await proposed()))
  const { data } = await client.GET('/v1/requests', {
    params: { query: { state: 'cancelled', limit: 1 } },
  })
  expect(data?.requests).toHaveLength(1)
  expect((await client.GET('/v1/keys')).data?.keys[0]?.id).toBe('pds')
  expect((await client.GET('/v1/audit/checkpoint')).error?.code).toBe('not-found')
  const { auditLog } = service.context
  while ((await auditLog.sequence()) > 0);
  await auditLog.look()
  const { size } = (await auditLog.store.head()).range
  expect((await client.GET('/v1/audit/checkpoint')).data).toEqual({
    size,
    checkpoint: expect.stringContaining(`\n${size}\n`),
    cosigned: null,
  })
  expect((await client.GET('/healthz')).data).toEqual({ alive: true })
  expect((await client.GET('/readyz')).data?.ready).toBe(true)
  const metrics = await client.GET('/metrics', { parseAs: 'text' })
  expect(metrics.data).toContain('holdfast_action_seconds_count{action="submit",outcome="sent"}')
  expect((await client.GET('/openapi.json')).response.status).toBe(200)
})

it('every route was driven, and every answer was as the document says', async () => {
  const document = (await (await fetch(`${service.url}/openapi.json`)).json()) as Document
  const all = operationsOf(document).map(({ operation }) => operation.operationId)
  expect(new Set(answers.map(({ operationId }) => operationId))).toEqual(new Set(all))
  expect(answers.filter(({ wrong }) => wrong.length > 0)).toEqual([])
})
