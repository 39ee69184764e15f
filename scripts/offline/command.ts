import { open } from 'node:fs/promises'
import { DocumentError } from '../../src/ceremony/document.ts'
import { environments } from '../../src/ceremony/env.ts'
import type { Environment } from '../../src/ceremony/env.ts'
import { ShareError } from '../../src/ceremony/share-error.ts'
import { asciiJson, escapeText } from '../../src/plc/text.ts'
import { AuditError } from '../../src/audit/error.ts'
import { PolicyError } from '../../src/policy/error.ts'
import { RecoveryError } from '../../src/recovery/error.ts'
import { SignerError } from '../../src/signer/signer.ts'
import { Refusal } from './refusal.ts'

export { Refusal }

/** Takes what stands behind the command's name, answers the exit code. */
export type Command = (args: string[], environment: NodeJS.ProcessEnv) => Promise<number>

/** The command was not written as its usage says. */
export class UsageError extends Error {
  override readonly name = 'UsageError'

  constructor(usage: string) {
    super(`Usage: scripts/ceremony ${usage}`)
  }
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

/** A whole file, or what a pipe gives, of at most so many bytes. @throws Refusal naming it */
export async function readBounded(path: string, maxBytes: number): Promise<Buffer> {
  const name = escapeText(path)
  const file = await open(path, 'r').catch((cause: unknown) => {
    throw new Refusal(`${name}: cannot be read`, { cause })
  })
  const content = Buffer.alloc(maxBytes + 1)
  try {
    let length = 0
    for (;;) {
      // A pipe has no places to read from, only what comes next.
      const { bytesRead } = await file.read(content, length, content.length - length, null)
      length += bytesRead
      if (length > maxBytes) throw new Refusal(`${name}: is longer than ${maxBytes} bytes`)
      if (bytesRead === 0) return Buffer.from(content.subarray(0, length))
    }
  } catch (error) {
    if (error instanceof Refusal) throw error
    throw new Refusal(`${name}: cannot be read`, { cause: error })
  } finally {
    content.fill(0)
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
  // `AuditError` is of the trust card here.
  const refusals = [ShareError, DocumentError, Refusal, RecoveryError, AuditError]
  if (refusals.some((kind) => error instanceof kind)) return { code: 1, message }
  if (error instanceof SignerError) return { code: error.code === 'key-unusable' ? 1 : 3, message }
  // node:util's parseArgs
  if ('code' in error && String(error.code).startsWith('ERR_PARSE_ARGS'))
    return { code: 2, message }
  return { code: 3, message: `could not run: ${message}` }
}
