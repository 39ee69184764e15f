import { ActRefused } from '../../src/approval/act.ts'
import { ApprovalError } from '../../src/approval/error.ts'
import { AuditError } from '../../src/audit/error.ts'
import { DocumentError } from '../../src/ceremony/document.ts'
import { ConfigError, readEnv, toConfig, toSecrets } from '../../src/config.ts'
import type { Context } from '../../src/context.ts'
import { createLogger } from '../../src/logger.ts'
import { asciiJson } from '../../src/plc/text.ts'
import { PolicyError } from '../../src/policy/error.ts'
import { RecoveryError } from '../../src/recovery/error.ts'
import { SignerError } from '../../src/signer/signer.ts'
import { StoreError } from '../../src/store/error.ts'
import { Refusal } from '../offline/refusal.ts'
import { AccountsError } from './recovery/accounts-error.ts'

/** Takes what stands behind the command's name, answers the exit code of the contract. */
export type Command = (args: string[]) => Promise<number>

/** The command was not written as its usage says. */
export class UsageError extends Error {
  override readonly name = 'UsageError'

  constructor(usage: string) {
    super(`Usage: scripts/holdfast ${usage}`)
  }
}

/** Opens a context for one command and closes it whatever happens. */
export async function withContext<T>(use: (context: Context) => Promise<T>): Promise<T> {
  const env = readEnv(process.env)
  const log = createLogger()
  log.level = 'warn'
  // Loaded here, since it brings the database and all adapters along; many commands need neither.
  const { createContext } = await import('../../src/context.ts')
  const context = await createContext({
    config: toConfig(env, process.cwd()),
    secrets: toSecrets(env),
    log,
    withSigners: false,
  })
  try {
    return await use(context)
  } finally {
    await context.close()
  }
}

export function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

/** On one line, and nothing in it that a terminal would obey. */
export function printJson(value: unknown): void {
  print(asciiJson(value))
}

export function exitCodeOf(error: unknown): { code: number; message: string } {
  if (error instanceof UsageError) return { code: 2, message: error.message }
  if (error instanceof Refusal) return { code: 1, message: error.message }
  if (error instanceof ConfigError || error instanceof PolicyError)
    return { code: 2, message: error.message }
  if (error instanceof StoreError && (error.code === 'schema' || error.code === 'roles'))
    return { code: 2, message: error.message }
  const refusals = [
    Refusal,
    RecoveryError,
    DocumentError,
    AuditError,
    AccountsError,
    ActRefused,
    ApprovalError,
  ]
  if (refusals.some((kind) => error instanceof kind)) {
    return { code: 1, message: error instanceof Error ? error.message : '' }
  }
  if (error instanceof StoreError && error.code === 'conflict')
    return { code: 1, message: error.message }
  // What will not change before a person changes it: a URI, a PIN file, a module.
  if (error instanceof SignerError && error.code === 'key-unusable')
    return { code: 2, message: error.message }
  // node:util's parseArgs
  if (
    error instanceof TypeError &&
    'code' in error &&
    String(error.code).startsWith('ERR_PARSE_ARGS')
  ) {
    return { code: 2, message: error.message }
  }
  return { code: 3, message: `could not run: ${messages(error).join(': ')}` }
}

function messages(error: unknown): string[] {
  if (error instanceof AggregateError) return error.errors.flatMap(messages)
  if (!(error instanceof Error)) return [String(error)]
  return [error.message, ...(error.cause === undefined ? [] : messages(error.cause))].filter(
    Boolean,
  )
}
