import { readFileSync } from 'node:fs'
import { isAbsolute, join, relative, resolve, sep } from 'node:path'

/** Effective settings, without secrets. */
export type Config = {
  readonly host: string
  readonly port: number
  readonly dataDir: string
  readonly plcUrl: string
  /** The operator's own reviewed folder; null: `policies` in the data directory, made on first start. */
  readonly policiesDir: string | null
  /** null: `secret` in the data directory, made on first start. */
  readonly secretFile: string | null
  readonly publicUrl: string | null
  /** Holds the PIN of tokens whose URI names no file of its own. */
  readonly pkcs11PinFile: string | null
  /** Where the last checkpoint is held: a folder, or the URL of another Postgres server in `Secrets`. */
  readonly checkpointDir: string
  /** The Ed25519 key of the checkpoints. */
  readonly checkpointKeyFile: string
  readonly tls: { readonly certFile: string; readonly keyFile: string } | null
}

/** Connection strings carry passwords. null: the private server in the data directory. */
export type Secrets = {
  readonly databaseUrl: string | null
  readonly databaseOwnerUrl: string | null
  /** Another server than the database's; null: the held record is a file. */
  readonly checkpointStoreUrl: string | null
}

/** The service must not start as it is configured. The message names the field. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

const names = [
  'HOLDFAST_HOST',
  'HOLDFAST_PORT',
  'HOLDFAST_DATA_DIR',
  'HOLDFAST_PLC_URL',
  'HOLDFAST_POLICIES_DIR',
  'HOLDFAST_PUBLIC_URL',
  'HOLDFAST_TLS_CERT_FILE',
  'HOLDFAST_TLS_KEY_FILE',
  'HOLDFAST_SECRET_FILE',
  'HOLDFAST_WEBHOOK_SECRET_FILE',
  'HOLDFAST_SMTP_URL',
  'HOLDFAST_SMTP_URL_FILE',
  'HOLDFAST_PKCS11_PIN_FILE',
  'HOLDFAST_CHECKPOINT_STORE',
  'HOLDFAST_CHECKPOINT_KEY_FILE',
  'DATABASE_URL',
  'DATABASE_URL_FILE',
  'DATABASE_OWNER_URL',
  'DATABASE_OWNER_URL_FILE',
  // For commands that are clients of the service; the service itself reads neither.
  'HOLDFAST_TOKEN',
  'HOLDFAST_TOKEN_FILE',
] as const
export type Env = Readonly<Partial<Record<(typeof names)[number], string>>>

/** Takes what is ours out of the environment; a `HOLDFAST_` name that is not known stops the start. */
export function readEnv(environment: NodeJS.ProcessEnv): Env {
  const known: readonly string[] = names
  const unknown = Object.keys(environment).find(
    (name) => name.startsWith('HOLDFAST_') && !known.includes(name),
  )
  if (unknown !== undefined) {
    throw new ConfigError(`${unknown}: no such setting; known are ${names.join(', ')}`)
  }
  const given = names.flatMap((name) => {
    const value = environment[name]
    return value === undefined || value === '' ? [] : [[name, value] as const]
  })
  return Object.freeze(Object.fromEntries(given))
}

export function toConfig(env: Env, workDir: string): Config {
  const path = (value: string) => (isAbsolute(value) ? value : resolve(workDir, value))
  const optionalPath = (value: string | undefined) => (value === undefined ? null : path(value))
  const host = env.HOLDFAST_HOST ?? '127.0.0.1'
  const tls = toTls(env, path)
  if (tls === null && !isLoopback(host)) {
    throw new ConfigError(
      `HOLDFAST_HOST: ${host} is not a loopback address; set HOLDFAST_TLS_CERT_FILE and HOLDFAST_TLS_KEY_FILE`,
    )
  }
  const dataDir = path(env.HOLDFAST_DATA_DIR ?? 'data')
  return Object.freeze({
    host,
    port: toPort(env.HOLDFAST_PORT ?? '2590'),
    dataDir,
    checkpointDir: path(checkpointFolder(env) ?? join(dataDir, 'checkpoint')),
    checkpointKeyFile: path(env.HOLDFAST_CHECKPOINT_KEY_FILE ?? join(dataDir, 'checkpoint.key')),
    plcUrl: toUrl('HOLDFAST_PLC_URL', env.HOLDFAST_PLC_URL ?? 'https://plc.directory').href.replace(
      /\/+$/,
      '',
    ),
    policiesDir: optionalPath(env.HOLDFAST_POLICIES_DIR),
    secretFile: optionalPath(env.HOLDFAST_SECRET_FILE),
    pkcs11PinFile: optionalPath(env.HOLDFAST_PKCS11_PIN_FILE),
    publicUrl: env.HOLDFAST_PUBLIC_URL === undefined ? null : toPublicUrl(env.HOLDFAST_PUBLIC_URL),
    tls,
  })
}

/** The origin under which people reach the service, and by which officers name it. */
export function publicOrigin({ publicUrl, port }: Pick<Config, 'publicUrl' | 'port'>): string {
  return publicUrl ?? `http://localhost:${port}`
}

export function toSecrets(env: Env): Secrets {
  const databaseUrl = databaseUrlOf(env, 'DATABASE_URL')
  const databaseOwnerUrl = databaseUrlOf(env, 'DATABASE_OWNER_URL')
  if (databaseOwnerUrl !== null && databaseUrl === null) {
    throw new ConfigError('DATABASE_OWNER_URL: goes with DATABASE_URL, which is not set')
  }
  const store = env.HOLDFAST_CHECKPOINT_STORE
  const checkpointStoreUrl = store !== undefined && isPostgres(store) ? store : null
  return Object.freeze({ databaseUrl, databaseOwnerUrl, checkpointStoreUrl })
}

const isPostgres = (value: string) => /^postgres(ql)?:\/\//.test(value)

function checkpointFolder({ HOLDFAST_CHECKPOINT_STORE: store }: Env): string | null {
  if (store === undefined || isPostgres(store)) return null
  const folder = /^file:(.+)$/.exec(store)?.[1]
  if (folder !== undefined) return folder
  throw new ConfigError(
    'HOLDFAST_CHECKPOINT_STORE: write file:FOLDER, or postgres://… of another server than the database is on',
  )
}

function databaseUrlOf(env: Env, name: 'DATABASE_URL' | 'DATABASE_OWNER_URL'): string | null {
  const file = env[`${name}_FILE`]
  if (file !== undefined && env[name] !== undefined) {
    throw new ConfigError(`${name}_FILE: is set beside ${name}; one of them`)
  }
  const value = file === undefined ? env[name] : readSecretFile(`${name}_FILE`, file)
  if (value !== undefined && !isPostgres(value)) {
    throw new ConfigError(`${name}: write postgres://USER:PASSWORD@HOST:PORT/DATABASE`)
  }
  return value ?? null
}

function readSecretFile(name: string, path: string): string {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch (cause) {
    throw new ConfigError(`${name}: cannot read ${path}`, { cause })
  }
}

/** Where the sealing secret lies. */
export function secretPath(config: Config): string {
  return config.secretFile ?? join(config.dataDir, 'secret')
}

/** Where the lines for the PDS are kept, the secret of the development caller among them. */
export function pdsEnvPath(config: Config): string {
  return join(config.dataDir, 'pds.env')
}

/** Whether a path lies in the data directory, and so in every copy of it. */
export function isInDataDir(config: Config, path: string): boolean {
  const inside = relative(config.dataDir, path)
  return inside !== '..' && !inside.startsWith(`..${sep}`) && !isAbsolute(inside)
}

function toTls(env: Env, path: (value: string) => string): Config['tls'] {
  const { HOLDFAST_TLS_CERT_FILE: cert, HOLDFAST_TLS_KEY_FILE: key } = env
  if (cert === undefined && key === undefined) return null
  if (cert === undefined)
    throw new ConfigError('HOLDFAST_TLS_CERT_FILE: is missing beside HOLDFAST_TLS_KEY_FILE')
  if (key === undefined)
    throw new ConfigError('HOLDFAST_TLS_KEY_FILE: is missing beside HOLDFAST_TLS_CERT_FILE')
  return { certFile: path(cert), keyFile: path(key) }
}

function toPort(text: string): number {
  const port = Number(text)
  if (!/^[0-9]{1,5}$/.test(text) || port > 65_535) {
    throw new ConfigError(`HOLDFAST_PORT: ${JSON.stringify(text)} is not a port number`)
  }
  return port
}

function toUrl(name: string, text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new ConfigError(`${name}: ${JSON.stringify(text)} is not an http or https URL`)
  }
  // An empty query or fragment is in neither `search` nor `hash`, but stays in `href`.
  if (url.username !== '' || url.password !== '' || /[?#]/.test(url.href)) {
    throw new ConfigError(`${name}: must be a plain URL without user, query or fragment`)
  }
  return url
}

/** WebAuthn knows no IP addresses, and nothing but `localhost` is safe over plain http. */
function toPublicUrl(text: string): string {
  const url = toUrl('HOLDFAST_PUBLIC_URL', text)
  if (url.protocol === 'http:' && url.hostname !== 'localhost') {
    throw new ConfigError('HOLDFAST_PUBLIC_URL: must be https, or http on the name localhost')
  }
  if (/^[0-9.]+$|^\[/.test(url.hostname)) {
    throw new ConfigError('HOLDFAST_PUBLIC_URL: must have a host name, not an IP address')
  }
  if (url.pathname !== '/') {
    throw new ConfigError('HOLDFAST_PUBLIC_URL: is an origin and has no path')
  }
  return url.origin
}

/** Whether what is said to this host stays on this machine. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.[0-9]{1,3}){3}$/.test(host)
}
