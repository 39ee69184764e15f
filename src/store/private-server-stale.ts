import { readFile, readdir, readlink, realpath, unlink } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * After a crash of the machine another process of ours may have got the pid that the data
 * directory's lock file names, and Postgres would then wait for it for ever. Every process of a
 * server works in its data directory: with none there, the lock is stale, and it is removed.
 *
 * @returns whether a stale lock was removed; always false where there is no /proc
 */
export async function removeStaleLock(data: string): Promise<boolean> {
  if (process.platform !== 'linux') return false
  const lock = join(data, 'postmaster.pid')
  const before = await readFile(lock, 'utf8').catch(() => null)
  if (before === null || (await isInUse(await realpath(data)))) return false
  if ((await readFile(lock, 'utf8').catch(() => null)) !== before) return false
  await unlink(lock)
  return true
}

async function isInUse(data: string): Promise<boolean> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const folders = await Promise.all(
    pids.map((pid) => readlink(`/proc/${pid}/cwd`).catch(() => null)),
  )
  return folders.includes(data)
}
