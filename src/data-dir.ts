import { randomBytes } from 'node:crypto'
import { mkdir, readFile, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ConfigError, secretPath } from './config.ts'
import type { Config } from './config.ts'
import { writeOnce } from './files/write-once.ts'
import { SECRET_BYTES, createSealer } from './sealing/sealer.ts'
import type { Sealer } from './sealing/sealer.ts'

export function keysDir(config: Config): string {
  return join(config.dataDir, 'keys')
}

/** Where PIN latches lie: beside the service, and not in the database, which may be taken back. */
export function latchDir(config: Config): string {
  return join(config.dataDir, 'latches')
}

/**
 * The data directory and its folder of keys. Root's own is 0711: the private Postgres in it runs as
 * another user, who may pass through and read nothing; all else in it is 0600 or 0700.
 */
export async function prepareDataDir(config: Config): Promise<void> {
  const dirs = [
    { dir: config.dataDir, mode: process.getuid?.() === 0 ? 0o711 : 0o700 },
    { dir: keysDir(config), mode: 0o700 },
  ]
  for (const { dir, mode } of dirs) {
    try {
      await mkdir(dir, { recursive: true, mode })
    } catch (cause) {
      throw new ConfigError(`HOLDFAST_DATA_DIR: cannot make ${dir}`, { cause })
    }
  }
}

/**
 * The secret that seals caller secrets and file keys. Made on the first start only: beside existing
 * keys a new one would be a second, useless one, and the loss of the first would go unnoticed.
 */
export async function openSealer(config: Config): Promise<Sealer> {
  const path = secretPath(config)
  const secret = (await readSecret(path)) ?? (await makeSecret(config, path))
  return createSealer(secret)
}

async function readSecret(path: string): Promise<Buffer | null> {
  let secret: Buffer
  try {
    const { mode } = await stat(path)
    if ((mode & 0o077) !== 0) {
      throw new ConfigError(
        `HOLDFAST_SECRET_FILE: ${path} can be read by others; run: chmod 600 ${path}`,
      )
    }
    secret = await readFile(path)
  } catch (cause) {
    if (isMissing(cause)) return null
    if (cause instanceof ConfigError) throw cause
    throw new ConfigError(`HOLDFAST_SECRET_FILE: cannot read ${path}`, { cause })
  }
  if (secret.length !== SECRET_BYTES) {
    throw new ConfigError(
      `HOLDFAST_SECRET_FILE: ${path} has ${secret.length} bytes instead of ${SECRET_BYTES}`,
    )
  }
  return secret
}

async function makeSecret(config: Config, path: string): Promise<Buffer> {
  if (config.secretFile !== null) {
    throw new ConfigError(
      `HOLDFAST_SECRET_FILE: ${path} is missing; put the file back that was used before`,
    )
  }
  const sealed = (await readdir(keysDir(config))).find((name) => name.endsWith('.json'))
  if (sealed !== undefined) {
    throw new ConfigError(
      `HOLDFAST_SECRET_FILE: ${path} is missing, but ${join(keysDir(config), sealed)} was sealed with it; put it back`,
    )
  }
  await writeOnce(path, randomBytes(SECRET_BYTES))
  const secret = await readSecret(path)
  if (secret === null) throw new ConfigError(`HOLDFAST_SECRET_FILE: ${path} went away`)
  return secret
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
