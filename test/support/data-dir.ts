import { existsSync } from 'node:fs'
import { readFile, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { openPrivateServer } from '../../src/store/private-server.ts'
import type { ServerLog } from '../../src/store/private-server.ts'

export const silentLog: ServerLog = { info: () => undefined, warn: () => undefined }

const systemFolder = '/var/lib/holdfast'

/** Stops the private Postgres of a test's data directory, if it has one, and removes everything. */
export async function removeDataDir(dataDir: string): Promise<void> {
  if (existsSync(join(dataDir, 'pg', 'PG_VERSION'))) {
    const server = await openPrivateServer({ dataDir, log: silentLog })
    await server.release()
    // The short socket folder of a data directory with a long path.
    if (!server.connection.host.endsWith('/pg'))
      await rm(server.connection.host, { recursive: true })
  }
  for (const folder of [...(await systemFoldersOf(dataDir)), dataDir]) {
    // An initdb whose starter was killed may still write.
    await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 200 })
  }
}

/** What root's private server of this data directory keeps outside of it. */
export async function systemFoldersOf(dataDir: string): Promise<string[]> {
  const names = await readdir(systemFolder).catch(() => [])
  const found = await Promise.all(
    names.map(async (name) => {
      const folder = join(systemFolder, name)
      const owner = await readFile(join(folder, 'owner'), 'utf8').catch(() => null)
      return owner === dataDir ? [folder] : []
    }),
  )
  return found.flat()
}
