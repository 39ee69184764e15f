import { quoteText } from '../plc/text.ts'
import { AuditError } from './error.ts'

/** Gives a value its type, or throws AuditError `malformed`, naming the field. */
export type Read<T> = (value: unknown, where: string) => T

/** Exactly these fields, each in its shape. */
export type Shape<T> = { readonly [Field in keyof T]-?: Read<T[Field]> }

export const text: Read<string> = (value, where) => {
  if (typeof value === 'string') return value
  throw malformed(`${where} must be text`)
}

export const bytes: Read<Uint8Array> = (value, where) => {
  if (value instanceof Uint8Array) return value
  throw malformed(`${where} must be bytes`)
}

export const bool: Read<boolean> = (value, where) => {
  if (typeof value === 'boolean') return value
  throw malformed(`${where} must be true or false`)
}

/** Times are some before 1970 on a clock that is wrong, and never in an entry. */
export const count: Read<number> = (value, where) => {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  throw malformed(`${where} must be a whole number`)
}

export const oneOf = <T extends string>(choices: readonly T[]): Read<T> => {
  const known: ReadonlySet<unknown> = new Set(choices)
  return (value, where) => {
    if (known.has(value)) return value as T
    throw malformed(`${where} is none of the known words`)
  }
}

export const list =
  <T>(item: Read<T>): Read<readonly T[]> =>
  (value, where) => {
    if (!Array.isArray(value)) throw malformed(`${where} must be a list`)
    return value.map((inner: unknown) => item(inner, where))
  }

export const some =
  <T>(item: Read<T>): Read<readonly [T, ...T[]]> =>
  (value, where) => {
    const [first, ...rest] = list(item)(value, where)
    if (first === undefined) throw malformed(`${where} must not be empty`)
    return [first, ...rest]
  }

export const orNull =
  <T>(read: Read<T>): Read<T | null> =>
  (value, where) =>
    value === null ? null : read(value, where)

/** Names are anybody's: the result has no prototype, so that each is an ordinary field. */
export const byName =
  <T>(item: Read<T>): Read<Readonly<Record<string, T>>> =>
  (value, where) => {
    const found = Object.create(null) as Record<string, T>
    for (const [name, inner] of Object.entries(fieldsOf(value, where))) {
      found[name] = item(inner, where)
    }
    return found
  }

/** @param beside fields that must be there too, and are read by somebody else */
export function fields<T>(shape: Shape<T>, beside: readonly string[] = []): Read<T> {
  const names = Object.keys(shape) as (keyof T & string)[]
  return (value, where) => {
    const source = fieldsOf(value, where)
    const found: Partial<T> = {}
    for (const name of names) {
      if (!Object.hasOwn(source, name)) throw malformed(`${where} lacks ${name}`)
      found[name] = shape[name](source[name], name)
    }
    const given = Object.keys(source)
    if (given.length !== names.length + beside.length) {
      const known = new Set<string>([...names, ...beside])
      const unknown = given.find((name) => !known.has(name))
      if (unknown !== undefined) {
        throw malformed(`${where} has an unknown field ${quoteText(unknown)}`)
      }
    }
    return found as T
  }
}

export function fieldsOf(value: unknown, where: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null) {
    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype === Object.prototype || prototype === null) {
      return value as Record<string, unknown>
    }
  }
  throw malformed(`${where} must be a map`)
}

export function malformed(message: string): AuditError {
  return new AuditError('malformed', message)
}
