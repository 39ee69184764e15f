import { readFile, realpath, stat } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { dirname } from 'node:path'
import { PrivateServerError } from './private-server-error.ts'

export type Account = { name: string; uid: number; gid: number }

/**
 * `service` is the OS user of this process and the only one the server lets in; `server` is the
 * one Postgres runs as. They differ only for root, whom Postgres refuses to run as.
 */
export type Accounts = { service: Account; server: Account }

/** @param owner uid that owns the existing data directory, or null before the first start */
export async function findAccounts(owner: number | null): Promise<Accounts> {
  const service = serviceAccount()
  if (service.uid !== 0) {
    if (owner !== null && owner !== service.uid) throw await wrongOwner(owner)
    return { service, server: service }
  }
  return { service, server: await unprivilegedAccount(owner) }
}

export function runsAsAnother(accounts: Accounts): boolean {
  return accounts.service.uid !== accounts.server.uid
}

function serviceAccount(): Account {
  try {
    const { username, uid, gid } = userInfo()
    // The name goes into Postgres's ident file, where a leading slash would make it a pattern.
    if (!/^[^/"\s][^"\s]*$/.test(username)) throw new Error(`unusual user name ${username}`)
    return { name: username, uid, gid }
  } catch (cause) {
    const uid = process.getuid?.() ?? -1
    throw new PrivateServerError(
      'no-account',
      `The private Postgres needs an OS user with a name, and uid ${uid} has none that it can use: ` +
        'add the user to /etc/passwd, run as an existing one, or set DATABASE_URL.',
      { cause },
    )
  }
}

async function unprivilegedAccount(owner: number | null): Promise<Account> {
  const accounts = await readPasswd()
  if (owner !== null && owner !== 0) {
    const found = accounts.find(({ uid }) => uid === owner)
    if (found) return found
    throw await wrongOwner(owner)
  }
  for (const name of ['postgres', 'nobody']) {
    const found = accounts.find((account) => account.name === name && account.uid !== 0)
    if (found) return found
  }
  throw new PrivateServerError(
    'no-account',
    'Postgres refuses to run as root, and there is neither a user "postgres" nor "nobody" to run it as: ' +
      'add one, start Holdfast as an ordinary user, or set DATABASE_URL.',
  )
}

async function wrongOwner(owner: number): Promise<PrivateServerError> {
  const known = (await readPasswd()).find(({ uid }) => uid === owner)
  const who = known ? `user ${known.name}` : `uid ${owner}, which has no entry in /etc/passwd,`
  return new PrivateServerError(
    'wrong-owner',
    `The private Postgres's data belongs to ${who} and this process cannot use it: ` +
      'run Holdfast as that user, or set DATABASE_URL.',
  )
}

async function readPasswd(): Promise<Account[]> {
  const text = await readFile('/etc/passwd', 'utf8').catch(() => '')
  return text.split('\n').flatMap((line) => {
    const [name, , uid, gid] = line.split(':')
    if (!name || !/^\d+$/.test(uid ?? '') || !/^\d+$/.test(gid ?? '')) return []
    return [{ name, uid: Number(uid), gid: Number(gid) }]
  })
}

/**
 * Whether the account may use `path` (enter a folder, read a file, run a program) and enter every
 * folder above it, judged by modes alone: Postgres runs without root's capabilities and groups.
 */
export async function canReach(account: Account, path: string): Promise<boolean> {
  const target = await realpath(path)
  const status = await stat(target)
  const needed = status.isDirectory() ? 0o1 : (status.mode & 0o111) === 0 ? 0o4 : 0o5
  if (!permits(account, status, needed)) return false
  for (let folder = dirname(target); ; folder = dirname(folder)) {
    if (!permits(account, await stat(folder), 0o1)) return false
    if (folder === dirname(folder)) return true
  }
}

function permits(
  account: Account,
  file: { uid: number; gid: number; mode: number },
  needed: number,
): boolean {
  const shift = file.uid === account.uid ? 6 : file.gid === account.gid ? 3 : 0
  return ((file.mode >> shift) & needed) === needed
}
