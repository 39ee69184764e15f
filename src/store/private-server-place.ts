import { createHash, randomBytes } from 'node:crypto'
import { chmod, chown, lstat, mkdir, readFile, readlink, realpath, rename } from 'node:fs/promises'
import { stat, symlink, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { canReach, findAccounts, runsAsAnother } from './private-server-account.ts'
import type { Account, Accounts } from './private-server-account.ts'
import { PrivateServerError, errorCode } from './private-server-error.ts'

/** Where root keeps what an unprivileged Postgres cannot reach in a 0700 clone. */
const systemFolder = '/var/lib/holdfast'

/** sun_path is 108 bytes on Linux and 104 on macOS, each with its final NUL. */
const longestSocketPath = 103
const socketName = '/.s.PGSQL.5432'

/**
 * `data` is Postgres's data directory, `access` holds the two files that say who may connect,
 * `socket` the folder of the Unix socket, `log` the file that Postgres writes to.
 */
export type Place = {
  accounts: Accounts
  data: string
  access: string
  socket: string
  log: string
  /** a folder of root's that the server's account can reach, made when it is first asked for */
  folder: () => Promise<string>
}

/** Finds or decides where the private server of `dataDir` lives. Makes folders, never a database. */
export async function findPlace(dataDir: string): Promise<Place> {
  // As root the server's account must pass through; everything secret inside is 0600 or 0700.
  const mode = process.getuid?.() === 0 ? 0o711 : 0o700
  await mkdir(dataDir, { recursive: true, mode })
  const home = await realpath(dataDir)
  const link = join(home, 'pg')
  const elsewhere = await readPointer(link)
  const found = elsewhere ?? link
  const owner = await ownerOf(found)
  const accounts = await findAccounts(owner)
  const folder = () => ownFolder(home)
  const data = owner === null ? await choose(link, elsewhere, { accounts, folder }) : found
  if (data !== link) await checkOneOwner(home, data)
  if (owner !== null) await checkReachable(data, accounts)
  return {
    accounts,
    data,
    access: join(dirname(data), 'pg-access'),
    socket: await socketFolder(data, accounts.server),
    log: join(home, 'postgres.log'),
    folder: data === link ? folder : async () => dirname(data),
  }
}

async function choose(
  link: string,
  elsewhere: string | null,
  { accounts, folder }: { accounts: Accounts; folder: () => Promise<string> },
): Promise<string> {
  if (elsewhere !== null) return elsewhere
  if (!runsAsAnother(accounts) || (await canReach(accounts.server, dirname(link)))) return link
  const data = join(await folder(), 'pg')
  try {
    // The link is the record: a later chmod of the clone must not lead to a second, empty database.
    await symlink(data, link)
    return data
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error
    return (await readPointer(link)) ?? link
  }
}

async function readPointer(link: string): Promise<string | null> {
  try {
    return resolve(dirname(link), await readlink(link))
  } catch (error) {
    const code = errorCode(error)
    if (code === 'ENOENT' || code === 'EINVAL') return null
    if (code !== 'EACCES') throw error
    throw new PrivateServerError(
      'unreachable',
      `${dirname(link)} belongs to another user, whose private Postgres this process cannot use: ` +
        'run Holdfast as that user.',
      { cause: error },
    )
  }
}

async function ownerOf(data: string): Promise<number | null> {
  try {
    return (await stat(data)).uid
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null
    throw error
  }
}

async function checkReachable(data: string, accounts: Accounts): Promise<void> {
  if (!runsAsAnother(accounts) || (await canReach(accounts.server, data))) return
  throw new PrivateServerError(
    'unreachable',
    `The private Postgres runs as ${accounts.server.name}, which can no longer reach its data in ` +
      `${data}: give the folders above it execute permission for others (chmod o+x).`,
  )
}

/** Named by path, inode and birth: a new clone at an old one's path must not find its database. */
async function ownFolder(home: string): Promise<string> {
  const { ino, birthtimeMs } = await stat(home)
  const folder = join(systemFolder, shortHash(`${home}\0${ino}\0${birthtimeMs}`))
  await mkdir(folder, { recursive: true, mode: 0o755 })
  // mkdir's mode passes through the umask.
  await chmod(systemFolder, 0o755)
  await chmod(folder, 0o755)
  if ((await readOwner(folder)) === null) await writeOwner(folder, home)
  return folder
}

/**
 * A data directory that was moved takes its database along. One that was copied would share it
 * with the original, and two services would then spend each other's budgets.
 */
async function checkOneOwner(home: string, data: string): Promise<void> {
  const folder = dirname(data)
  if ((await ownerOf(folder)) === null) {
    throw new PrivateServerError(
      'damaged',
      `${join(home, 'pg')} says that the database is in ${folder}, which does not exist: ` +
        'bring that folder back from a backup, or remove the link to start with an empty database.',
    )
  }
  if (dirname(folder) !== systemFolder) return
  const owner = await readOwner(folder)
  if (owner === home) return
  if (owner !== null && (await readPointer(join(owner, 'pg')).catch(() => null)) === data) {
    throw new PrivateServerError(
      'copied',
      `${home} is a copy of ${owner}, and its database is still the original's (${data}): ` +
        `remove the link ${join(home, 'pg')} to start with an empty database.`,
    )
  }
  await writeOwner(folder, home)
}

async function readOwner(folder: string): Promise<string | null> {
  return readFile(join(folder, 'owner'), 'utf8').catch(() => null)
}

async function writeOwner(folder: string, home: string): Promise<void> {
  const part = join(folder, `owner.${randomBytes(6).toString('hex')}`)
  await writeFile(part, home, { mode: 0o600 })
  await rename(part, join(folder, 'owner'))
}

async function socketFolder(data: string, server: Account): Promise<string> {
  if (Buffer.byteLength(data + socketName) <= longestSocketPath) return data
  const parent = process.getuid?.() === 0 && (await ownerOf('/run')) === 0 ? '/run' : '/tmp'
  const folder = join(parent, `holdfast-${shortHash(`${server.uid}\0${data}`)}`)
  try {
    await mkdir(folder, { mode: 0o700 })
    await chown(folder, server.uid, server.gid)
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error
    await checkOwnSocketFolder(folder, server)
  }
  return folder
}

/** In /tmp another user may have made the folder first, to be the server that we talk to. */
async function checkOwnSocketFolder(folder: string, server: Account): Promise<void> {
  const status = await lstat(folder)
  const ours = status.uid === server.uid || status.uid === process.getuid?.()
  if (status.isDirectory() && ours && (status.mode & 0o077) === 0) {
    if (status.uid !== server.uid) await chown(folder, server.uid, server.gid)
    return
  }
  throw new PrivateServerError(
    'socket-directory',
    `${folder} should be the private Postgres's socket folder (0700, owned by ${server.name}), and is ` +
      'not: remove it, or use a data directory with a shorter path.',
  )
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}
