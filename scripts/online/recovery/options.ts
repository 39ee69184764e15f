import { environments } from '../../../src/ceremony/env.ts'
import type { Environment } from '../../../src/ceremony/env.ts'
import { UsageError } from '../command.ts'

export function parseEnv(value: string | undefined, usage: string): Environment {
  const found = environments.find((name) => name === value)
  if (found === undefined) throw new UsageError(`${usage}\n--env is ${environments.join(' or ')}`)
  return found
}

/** Requests a second. */
export function parseRate(text: string, usage: string): number {
  const rate = Number(text)
  if (/^[0-9]+(\.[0-9]+)?$/.test(text) && rate > 0 && rate <= 10_000) return rate
  throw new UsageError(`${usage}\n--rate: requests per second, such as 1.5`)
}
