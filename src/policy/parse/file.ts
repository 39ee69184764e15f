import { z } from 'zod'
import { PolicyError } from '../error.ts'
import { parseStrictYaml } from '../yaml.ts'

/** The names of keys, callers, persons, groups and value sets. */
export const name = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'use a-z, 0-9 and -, at most 63 characters')

export const oneOrMore = <T extends z.ZodType>(item: T) =>
  z.array(item).min(1, 'must not be empty').max(MAX_ITEMS, `at most ${MAX_ITEMS}`)

/** Nobody reviews a longer list. */
export const MAX_ITEMS = 1000

/** @throws PolicyError `file-malformed`, naming the file and the field */
export function parseFile<T extends z.ZodType>(file: string, text: string, schema: T): z.infer<T> {
  const result = schema.safeParse(parseStrictYaml(text, file))
  if (result.success) return result.data
  const issue = result.error.issues[0]
  const path = issue === undefined || issue.path.length === 0 ? '' : ` ${issue.path.join('.')}:`
  throw malformed(`${file}:${path} ${issue?.message ?? 'not understood'}`)
}

export function refuseRepeats(where: string, what: string, values: readonly string[]): void {
  const seen = new Set<string>()
  for (const value of values) {
    if (seen.has(value)) throw malformed(`${where}: ${what} ${value} is there twice`)
    seen.add(value)
  }
}

export function malformed(message: string, options?: ErrorOptions): PolicyError {
  return new PolicyError('file-malformed', message, options)
}

const units = { s: 1, m: 60, h: 3600, d: 86_400 } as const

/** `90s`, `10m`, `24h`, `7d`, in seconds; null when it is written otherwise. */
export function parseDuration(text: string): number | null {
  const match = /^([1-9][0-9]{0,3})([smhd])$/.exec(text)
  if (match === null) return null
  return Number(match[1]) * units[match[2] as keyof typeof units]
}
