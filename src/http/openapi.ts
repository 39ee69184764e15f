import { z } from 'zod'
import { problem } from '../api/problem.ts'
import type { ProblemCode } from '../api/problem.ts'
import { describedRoutes } from './openapi-routes.ts'
import type { DescribedAnswer, DescribedRoute } from './openapi-routes.ts'
import { problemStatus } from './problem.ts'

type Json = Record<string, unknown>

/**
 * The OpenAPI 3.1 document. Its schemas are made from the ones that requests are validated with, so the
 * two cannot say different things.
 */
export function buildOpenApi(): Json {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Holdfast',
      version: '1',
      summary: 'Custody for the keys that own identities in the AT Protocol',
      description:
        'Every `/v1` route takes a caller: SigV4 with the service name `holdfast`, or a bearer token; or ' +
        'an officer, by a call that their did:key signed. ' +
        'What is no success is a problem document (RFC 9457) whose `code` is stable. ' +
        'Fields may be added to answers; unknown fields of requests are refused. ' +
        '`POST /kms` speaks the AWS KMS protocol and is described by AWS.',
      license: { name: 'MIT OR Apache-2.0', identifier: 'MIT OR Apache-2.0' },
    },
    servers: [{ url: '/' }],
    security: [{ bearer: [] }, { sigv4: [] }, { officer: [] }],
    paths: pathsOf(describedRoutes),
    components: { schemas: componentSchemas(), securitySchemes },
  }
}

const securitySchemes = {
  officer: {
    type: 'apiKey',
    in: 'header',
    name: 'authorization',
    description:
      '`Holdfast-Officer DID-KEY TIME NONCE SIGNATURE`: signed over audience, method, target, SHA-256 of ' +
      'the body, time and nonce; 60 s, used once. docs/api.md has the bytes',
  },
  bearer: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: '<accessKeyId>.<token>',
    description: 'TOKEN of `scripts/holdfast callers add`',
  },
  sigv4: {
    type: 'apiKey',
    in: 'header',
    name: 'authorization',
    description:
      'AWS Signature Version 4, service `holdfast`, any region; `host` and `x-amz-date` signed',
  },
}

function pathsOf(routes: readonly DescribedRoute[]): Json {
  const paths: Record<string, Json> = {}
  for (const route of routes) {
    paths[route.path] = { ...paths[route.path], [route.method]: operationOf(route) }
  }
  return paths
}

function operationOf(route: DescribedRoute): Json {
  const { operationId, summary, description, body, optionalBody } = route
  const parameters = [...pathParameters(route), ...queryParameters(route)]
  return {
    operationId,
    summary,
    ...(description === undefined ? {} : { description }),
    ...(route.open === true ? { security: [] } : {}),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined ? {} : { requestBody: { required: true, content: jsonOf(body) } }),
    ...(optionalBody === undefined ? {} : { requestBody: { content: jsonOf(optionalBody) } }),
    responses: { ...answersOf(route), ...problemsOf(route) },
  }
}

function pathParameters({ id, idName = 'id' }: DescribedRoute): Json[] {
  if (id === undefined) return []
  return [{ name: idName, in: 'path', required: true, schema: inline(id, 'input') }]
}

/** As numbers where they are numbers, though the query string holds text. */
function queryParameters({ query }: DescribedRoute): Json[] {
  return Object.entries(query?.shape ?? {}).map(([name, schema]) => {
    const { description, ...rest } = inline(schema as z.ZodType, 'output')
    return { name, in: 'query', required: false, description, schema: rest }
  })
}

function answersOf({ answers }: DescribedRoute): Json {
  const entries = Object.entries(answers).map(([status, answer]) => [
    status,
    { description: answer.description, content: contentOf(answer) },
  ])
  return Object.fromEntries(entries)
}

function contentOf({ schema, mediaType }: DescribedAnswer): Json {
  if (schema !== null) return jsonOf(schema)
  const plain = { schema: { type: mediaType === 'application/json' ? 'object' : 'string' } }
  return { [mediaType ?? 'text/plain']: plain }
}

function problemsOf({ problems }: DescribedRoute): Json {
  const byStatus = Object.groupBy(problems, (code) => String(problemStatus[code]))
  return Object.fromEntries(
    Object.entries(byStatus).map(([status, codes = []]) => [status, problemOf(codes)]),
  )
}

function problemOf(codes: readonly ProblemCode[]): Json {
  return {
    description: codes.map((code) => `\`${code}\``).join(' or '),
    content: { 'application/problem+json': { schema: reference(problem) } },
  }
}

function jsonOf(schema: z.ZodType): Json {
  return { 'application/json': { schema: reference(schema) } }
}

const uri = (id: string): string => `#/components/schemas/${id}`

function reference(schema: z.ZodType): Json {
  const id = schema.meta()?.id
  if (id === undefined) throw new TypeError('a schema of the document has no name')
  return { $ref: uri(id) }
}

function inline(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _schema, ...json } = z.toJSONSchema(schema, { io, override })
  return json
}

/** A format says it to people and generators; the pattern of a time is half a page. */
function override({ jsonSchema }: { jsonSchema: z.core.JSONSchema.BaseSchema }): void {
  if (jsonSchema.format === 'date-time') delete jsonSchema.pattern
}

/** All schemas that have a name, each once, referring to each other. */
function componentSchemas(): Json {
  const { schemas } = z.toJSONSchema(z.globalRegistry, { uri, io: 'input', override })
  const entries = Object.entries(schemas).map(([id, json]) => {
    const { $schema: _schema, $id: _id, ...rest } = json as Json
    return [id, rest]
  })
  return Object.fromEntries(entries)
}
