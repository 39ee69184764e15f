import { randomBytes } from 'node:crypto'
import { chown, mkdir, open, readFile, readdir, rename, rmdir, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Binaries } from './private-server-binaries.ts'
import { PrivateServerError, errorCode } from './private-server-error.ts'
import { failure } from './private-server-failure.ts'
import type { Place } from './private-server-place.ts'
import { run } from './private-server-program.ts'
import { administrator } from './private-server-roles.ts'

const initLimit = 300_000
const sweepAge = 15 * 60_000

/**
 * Makes the data directory if there is none: initdb works beside it, and a rename puts it in place,
 * so a killed first start leaves nothing half-made and of two first starts one wins.
 */
export async function ensureCluster(place: Place, binaries: Binaries): Promise<void> {
  if (await isMade(place.data, binaries)) return
  await sweep(place)
  const { server, service } = place.accounts
  const part = `${place.data}.new-${randomBytes(6).toString('hex')}`
  await mkdir(part, { mode: 0o700 })
  if (service.uid !== server.uid) await chown(part, server.uid, server.gid)
  const { ok, output } = await run(join(binaries.folder, 'bin/initdb'), initArguments(part), {
    account: server,
    cwd: part,
    timeout: initLimit,
  })
  if (!ok) {
    await remove(part, place)
    throw failure(output, { place, code: 'start-failed', doing: 'make its data directory' })
  }
  await moveToPlace(part, place)
}

function initArguments(folder: string): string[] {
  return [
    `--pgdata=${folder}`,
    `--username=${administrator}`,
    '--auth=peer',
    '--encoding=UTF8',
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--data-checksums',
    '--no-instructions',
  ]
}

async function isMade(data: string, binaries: Binaries): Promise<boolean> {
  const version = await readFile(join(data, 'PG_VERSION'), 'utf8').catch((error) => {
    if (errorCode(error) === 'ENOENT') return null
    throw error
  })
  if (version?.trim() === binaries.major) return true
  if (version !== null) {
    throw new PrivateServerError(
      'version',
      `${data} was made by Postgres ${version.trim()}, and this Holdfast brings ${binaries.major}: ` +
        'start the Holdfast that made it, or move its contents over with pg_dump of that version.',
    )
  }
  const names = await readdir(data).catch(() => [])
  if (names.length === 0) return false
  throw new PrivateServerError(
    'damaged',
    `${data} is not a whole Postgres data directory (PG_VERSION is missing): ` +
      'bring it back from a backup, or move it away to start with an empty database.',
  )
}

async function moveToPlace(part: string, place: Place): Promise<void> {
  try {
    await rename(part, place.data)
    const parent = await open(dirname(place.data), 'r')
    await parent.sync()
    await parent.close()
  } catch (error) {
    await remove(part, place)
    // Another first start was quicker; its data directory is whole.
    if (errorCode(error) !== 'ENOTEMPTY' && errorCode(error) !== 'EEXIST') throw error
  }
}

/** Removes what killed first starts left; a younger one may still be at work. */
async function sweep(place: Place): Promise<void> {
  const parent = dirname(place.data)
  for (const name of await readdir(parent)) {
    if (!name.startsWith(`${basename(place.data)}.new-`)) continue
    const path = join(parent, name)
    const age = await stat(path).then(
      ({ mtimeMs }) => Date.now() - mtimeMs,
      () => 0,
    )
    if (age > sweepAge) await remove(path, place)
  }
}

/** Its contents belong to the server's account, so root does not walk into them itself. */
async function remove(path: string, place: Place): Promise<void> {
  const account = place.accounts.server
  await run('rm', ['-rf', '--', path], { account, cwd: '/', timeout: 60_000 })
  await rmdir(path).catch(() => undefined)
}
