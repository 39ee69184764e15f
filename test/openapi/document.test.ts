import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { Validator } from '@seriousme/openapi-schema-validator'
import openapiTypes, { astToString } from 'openapi-typescript'
import { format } from 'oxfmt'
import { expect, it } from 'vitest'
import { createApp } from '../../src/http/app.ts'
import { buildOpenApi } from '../../src/http/openapi.ts'
import { problemStatus } from '../../src/http/problem.ts'
import { doorDeps, send } from '../http/door-deps.ts'
import type { Document } from './document.ts'
import { operationsOf } from './document.ts'

const document = buildOpenApi() as unknown as Document
const file = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

it('is valid OpenAPI 3.1', async () => {
  const result = await new Validator().validate(structuredClone(document))
  expect(result).toMatchObject({ valid: true })
})

it('is what the service answers', async () => {
  const request = { method: 'GET', target: '/openapi.json', headers: [], body: new Uint8Array() }
  const response = await send(createApp(doorDeps().deps), request)
  expect(response.headers.get('content-type')).toBe('application/json')
  expect(await response.json()).toEqual(document)
})

it('names every route of the app but the AWS door and the pages for people, and no other', () => {
  const registered = createApp(doorDeps().deps)
    .routes.filter(({ method, path }) => method !== 'ALL' && !/^\/(kms|console)/.test(path))
    .map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, '{$1}')}`)
  const described = operationsOf(document).map(({ method, path }) => `${method} ${path}`)
  expect(described.toSorted()).toEqual(registered.toSorted())
})

it('asks for a caller on every route below /v1, and on no other', () => {
  const open = operationsOf(document).filter(({ operation }) => operation.security?.length === 0)
  expect(open.map(({ path }) => path)).toEqual(['/healthz', '/readyz', '/metrics', '/openapi.json'])
})

it('stands in docs/openapi.json as it is (vitest -u writes it)', async () => {
  const text = `${JSON.stringify(document, null, 2)}\n`
  await expect(text).toMatchFileSnapshot(file('../../docs/openapi.json'))
})

it('docs/api.md has a row for each problem code, with its status', async () => {
  const text = await readFile(file('../../docs/api.md'), 'utf8')
  const rows = [...text.matchAll(/^\| `([a-z-]+)` \| (\d{3}) \|/gm)]
  expect(Object.fromEntries(rows.map(([, code, status]) => [code, Number(status)]))).toEqual(
    problemStatus,
  )
})

it('makes the types that test/openapi/generated.d.ts holds (vitest -u writes them)', async () => {
  const options = JSON.parse(await readFile(file('../../.oxfmtrc.json'), 'utf8'))
  const { ignorePatterns: _patterns, ...style } = options as { ignorePatterns?: unknown }
  const nodes = await openapiTypes(JSON.stringify(document))
  const { code } = await format('generated.d.ts', astToString(nodes), style)
  await expect(code).toMatchFileSnapshot(file('generated.d.ts'))
})
