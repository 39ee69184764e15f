import { randomBytes } from 'node:crypto'
import { lstat, mkdir, open, rename } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { syncDirectory } from './write-once.ts'

/**
 * Makes a folder with all of its files or none: 0700, the files 0400, durable on return. What a crash
 * leaves lies in `PATH.….new` beside it.
 * @returns false when something of that name was there; it is left as it is
 */
export async function writeFolder(
  folder: string,
  files: Readonly<Record<string, Uint8Array | string>>,
): Promise<boolean> {
  // `name/` is the same folder, but `name/.….new` would lie in it.
  const path = resolve(folder)
  if (await exists(path)) return false
  const temporary = `${path}.${randomBytes(6).toString('hex')}.new`
  await mkdir(temporary, { mode: 0o700 })
  for (const [name, content] of Object.entries(files)) {
    const handle = await open(join(temporary, name), 'wx', 0o400)
    try {
      await handle.writeFile(content)
      await handle.sync()
    } finally {
      await handle.close()
    }
  }
  await syncDirectory(temporary)
  // Refused by the system when a folder with anything in it has come meanwhile.
  await rename(temporary, path)
  await syncDirectory(dirname(path))
  return true
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false
    throw error
  }
}
