import { open } from 'node:fs/promises'
import { DocumentError } from '../../src/ceremony/document.ts'
import { environments } from '../../src/ceremony/env.ts'
import type { Environment } from '../../src/ceremony/env.ts'
import { ShareError } from '../../src/ceremony/share-error.ts'
import { asciiJson, escapeText } from '../../src/plc/text.ts'
import { PolicyError } from '../../src/policy/error.ts'
import { SignerError } from '../../src/signer/signer.ts'

/** Takes what stands behind the command's name, answers the exit code. */
export type Command = (args: string[], environment: NodeJS.ProcessEnv) => Promise<number>

/** The command was not written as its usage says. */
export class UsageError extends Error {
  override readonly name = 'UsageError'

  constructor(usage: string) {
    super(`Usage: scripts/ceremony ${usage}`)
  }
}

/** Not what was asked for: nothing was made, signed or changed. */
export class Refusal extends Error {
  override readonly name = 'Refusal'
}

/** A line of output; what came from a file in it was escaped by whoever put it there. */
export function print(line = ''): void {
  process.stdout.write(`${line}\n`)
}

export function printJson(value: unknown): void {
  print(asciiJson(value))
}

export function parseEnvironment(value: string | undefined, usage: string): Environment {
  const found = environments.find((name) => name === value)
  if (found === undefined) throw new UsageError(`${usage}\n--env is ${environments.join(' or ')}`)
  return found
}

/** A whole file of at most so many bytes. @throws Refusal naming it */
export async function readBounded(path: string, maxBytes: number): Promise<Buffer> {
  const file = await open(path, 'r').catch((cause: unknown) => {
    throw new Refusal(`${escapeText(path)}: cannot be read`, { cause })
  })
  try {
    const { size } = await file.stat()
    if (size > maxBytes) throw new Refusal(`${escapeText(path)}: is longer than ${maxBytes} bytes`)
    return await file.readFile()
  } finally {
    await file.close()
  }
}

export async function readText(path: string): Promise<string> {
  return (await readBounded(path, 1024 * 1024)).toString('utf8')
}

export function exitCodeOf(error: unknown): { code: number; message: string } {
  if (!(error instanceof Error)) return { code: 3, message: 'could not run' }
  const { message } = error
  if (error instanceof UsageError || error instanceof PolicyError) return { code: 2, message }
  if (error instanceof ShareError || error instanceof DocumentError || error instanceof Refusal) {
    return { code: 1, message }
  }
  if (error instanceof SignerError) return { code: error.code === 'key-unusable' ? 1 : 3, message }
  // node:util's parseArgs
  if ('code' in error && String(error.code).startsWith('ERR_PARSE_ARGS'))
    return { code: 2, message }
  return { code: 3, message: `could not run: ${message}` }
}
