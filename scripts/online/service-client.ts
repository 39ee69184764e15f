import { readFile } from 'node:fs/promises'
import { createClient } from '../../src/client/client.ts'
import type { HoldfastClient } from '../../src/client/client.ts'
import { ApiError, NoAnswerError } from '../../src/client/error.ts'
import type { ClientCredential } from '../../src/client/transport.ts'
import { ConfigError, isLoopback, pdsEnvPath, readEnv, toConfig } from '../../src/config.ts'
import type { Config, Env } from '../../src/config.ts'
import { printJson } from './command.ts'

/**
 * A client of the service, which alone has the keys: of the one at `url`, or of the one that this
 * environment configures. Its credential is HOLDFAST_TOKEN or HOLDFAST_TOKEN_FILE; on the host of a
 * development start, the caller that it made.
 * @throws ConfigError
 */
export async function openClient(url: string | undefined): Promise<HoldfastClient> {
  const env = readEnv(process.env)
  const config = toConfig(env, process.cwd())
  const base = toBase(url ?? urlOf(config))
  const credential = await credentialOf(env, config)
  // A token that was read on its way is somebody else's token too; SigV4's secret stays here.
  if ('bearer' in credential && base.protocol === 'http:' && !isLoopback(base.hostname)) {
    throw new ConfigError('--url: a token is sent over https only, or to this machine')
  }
  return createClient({ url: base.href, credential })
}

/** Where the service of this environment listens. */
export function urlOf({ host, port, tls }: Config): string {
  const name = host.includes(':') ? `[${host}]` : host
  return `${tls === null ? 'http' : 'https'}://${name}:${port}`
}

export function toBase(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url !== null && (url.protocol === 'http:' || url.protocol === 'https:')) return url
  throw new ConfigError(`--url: ${JSON.stringify(text)} is not an http or https URL`)
}

async function credentialOf(env: Env, config: Config): Promise<ClientCredential> {
  if (env.HOLDFAST_TOKEN !== undefined) return toBearer('HOLDFAST_TOKEN', env.HOLDFAST_TOKEN)
  const file = env.HOLDFAST_TOKEN_FILE
  if (file !== undefined) return toBearer('HOLDFAST_TOKEN_FILE', await readSecret(file))
  const pdsEnv = await readFile(pdsEnvPath(config), 'utf8').catch(() => '')
  const value = (name: string) => new RegExp(`^${name}=(.+)$`, 'm').exec(pdsEnv)?.[1]
  const accessKeyId = value('AWS_ACCESS_KEY_ID')
  const secretAccessKey = value('AWS_SECRET_ACCESS_KEY')
  if (accessKeyId !== undefined && secretAccessKey !== undefined) {
    return { accessKeyId, secretAccessKey }
  }
  throw new ConfigError(
    'HOLDFAST_TOKEN: is not set; put the TOKEN that `callers add NAME` prints there, or into a file ' +
      'that HOLDFAST_TOKEN_FILE names',
  )
}

async function readSecret(file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).trim()
  } catch (cause) {
    throw new ConfigError(`HOLDFAST_TOKEN_FILE: cannot read ${file}`, { cause })
  }
}

/** Never repeats what it was given: it may be a secret in the wrong place. */
function toBearer(name: string, text: string): ClientCredential {
  if (/^[A-Za-z0-9_]{16,128}\.[A-Za-z0-9_-]{16,128}$/.test(text)) return { bearer: text }
  throw new ConfigError(`${name}: is not of the form <accessKeyId>.<token>`)
}

/**
 * Says what the service refused, and why.
 * @returns the exit code: 1 the answer is no, 2 the question was wrong, 3 there was no answer
 * @throws what is no answer of the service
 */
export function reportRefusal(error: unknown, json: boolean): number {
  if (error instanceof NoAnswerError) {
    process.stderr.write('could not run: no answer from the service; is it running, at this URL?\n')
    return 3
  }
  if (!(error instanceof ApiError)) throw error
  if (json && error.problem !== null) printJson(error.problem)
  // Whoever answers at that URL wrote these words.
  process.stderr.write(`${error.message.replace(/[^ -~\n]/g, '?')}\n`)
  return exitCodeOf(error)
}

function exitCodeOf({ code }: ApiError): number {
  switch (code) {
    case 'denied':
    case 'conflict':
    case 'stale':
    case 'not-found':
    case 'forbidden':
    case 'rejected':
    case 'void':
      return 1
    case 'malformed':
    case 'too-large':
    case 'unauthenticated':
    case 'unsupported-media-type':
    case 'method-not-allowed':
      return 2
    case 'busy':
    case 'internal':
    case null:
      return 3
  }
}
