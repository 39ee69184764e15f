import Ajv from 'ajv/dist/2020.js'
import formats from 'ajv-formats'

type Json = Record<string, unknown>
type Content = Record<string, { schema: Json }>

/** One operation of the document, as far as the tests read it. */
export type Operation = {
  readonly operationId: string
  readonly security?: readonly unknown[]
  readonly requestBody?: { readonly required?: boolean; readonly content: Content }
  readonly responses: Record<string, { readonly content: Content }>
}

export type Document = {
  readonly paths: Record<string, Record<string, Operation>>
  readonly components: { readonly schemas: Record<string, Json> }
}

export type Described = {
  readonly method: string
  readonly path: string
  readonly operation: Operation
}

export function operationsOf({ paths }: Document): Described[] {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      method: method.toUpperCase(),
      path,
      operation,
    })),
  )
}

/** What is wrong with an answer, by the document alone; nothing when it is as described. */
export function createAnswerCheck(document: Document) {
  const ajv = new Ajv.Ajv2020({ strict: false, allErrors: true })
  formats.default(ajv)
  ajv.addSchema({ $id: 'doc', components: document.components })
  return (
    { operation }: Described,
    answer: { status: number; contentType: string; body: unknown },
  ): string[] => {
    const described = operation.responses[String(answer.status)]
    if (described === undefined) return [`${answer.status} is not described`]
    const mediaType = answer.contentType.split(';')[0] ?? ''
    const schema = described.content[mediaType]?.schema
    if (schema === undefined) return [`${answer.status} has no ${mediaType}`]
    const resolved = JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"doc#/')) as Json
    const validate = ajv.compile(resolved)
    if (validate(answer.body)) return []
    return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`)
  }
}
