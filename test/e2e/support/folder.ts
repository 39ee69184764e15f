import { chmod, mkdtemp, readdir, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { removeDataDir } from '../../support/data-dir.ts'

/** A folder that Postgres's own user can pass through where root runs the tests. */
export async function makeFolder(): Promise<string> {
  const dir = await realpath(await mkdtemp(join(tmpdir(), 'holdfast-e2e-')))
  await chmod(dir, 0o711)
  return dir
}

/** Removes it, and what private servers of the data directories in it keep elsewhere. */
export async function removeFolder(dir: string): Promise<void> {
  for (const name of await readdir(dir)) await removeDataDir(join(dir, name))
  await rm(dir, { recursive: true, force: true })
}
