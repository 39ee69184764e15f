import { PlcError } from './error.ts'
import { quoteText } from './text.ts'

/**
 * Takes one snapshot of an untrusted value, field by field, so that what was checked is what is used.
 * A budget of UTF-16 units bounds the work of one operation, however the value was nested or built.
 */
export class ShapeReader {
  #left: number

  constructor(budget: number) {
    this.#left = budget
  }

  /** Exactly these own fields: a missing one and an unknown one are refused, `undefined` included. */
  fields<Name extends string>(
    value: unknown,
    where: string,
    names: readonly Name[],
  ): Record<Name, unknown> {
    const source = plainObject(value, where)
    for (const name of Reflect.ownKeys(source)) {
      if (!(names as readonly unknown[]).includes(name)) {
        throw malformed(`${where} has an unknown field ${quoteText(String(name))}`)
      }
    }
    const snapshot = Object.create(null) as Record<Name, unknown>
    for (const name of names) {
      if (!Object.hasOwn(source, name)) throw malformed(`${where} lacks the field "${name}"`)
      snapshot[name] = source[name]
    }
    return snapshot
  }

  /** Lone surrogates are refused: UTF-8 has no bytes for them, so two texts would share one encoding. */
  text(value: unknown, where: string): string {
    if (typeof value !== 'string') throw malformed(`${where} must be text`)
    this.#spend(value.length, where)
    if (!value.isWellFormed()) throw malformed(`${where} holds a lone surrogate`)
    return value
  }

  texts(value: unknown, where: string): string[] {
    if (!Array.isArray(value)) throw malformed(`${where} must be a list`)
    if (value.length > this.#left) throw tooLarge(where)
    return Array.from(value, (item: unknown) => this.text(item, where))
  }

  /** Without a prototype, so that an id such as `constructor` or `__proto__` is an ordinary entry. */
  map<T>(value: unknown, where: string, read: (item: unknown) => T): Record<string, T> {
    const source = plainObject(value, where)
    const snapshot = Object.create(null) as Record<string, T>
    for (const id of Reflect.ownKeys(source)) {
      snapshot[this.text(id, `an id of ${where}`)] = read(source[id])
    }
    return snapshot
  }

  #spend(units: number, where: string): void {
    this.#left -= units + 1
    if (this.#left < 0) throw tooLarge(where)
  }
}

export function plainObject(value: unknown, where: string): Record<PropertyKey, unknown> {
  if (typeof value === 'object' && value !== null) {
    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype === Object.prototype || prototype === null) {
      return value as Record<PropertyKey, unknown>
    }
  }
  throw malformed(`${where} must be an object`)
}

export function malformed(message: string): PlcError {
  return new PlcError('malformed', message)
}

function tooLarge(where: string): PlcError {
  return new PlcError('too-large', `the operation is too large at ${where}`)
}
