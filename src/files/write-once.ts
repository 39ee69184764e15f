import { randomBytes } from 'node:crypto'
import { link, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * Writes a file whole or not at all, 0600, durable on return, and never over another.
 * @param mode 0400 for what nobody is to change any more
 * @returns false when the file was there; it is left as it is
 */
export async function writeOnce(
  path: string,
  content: Uint8Array | string,
  mode: 0o600 | 0o400 = 0o600,
): Promise<boolean> {
  const temporary = await writeTemporary(path, content, mode)
  try {
    await link(temporary, path)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  } finally {
    await rm(temporary, { force: true })
  }
  await syncDirectory(dirname(path))
  return true
}

/** Replaces a file whole, 0600: a reader sees the old content or the new, never a part. */
export async function replaceFile(path: string, content: Uint8Array | string): Promise<void> {
  await rename(await writeTemporary(path, content), path)
  await syncDirectory(dirname(path))
}

async function writeTemporary(
  path: string,
  content: Uint8Array | string,
  mode = 0o600,
): Promise<string> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.new`
  const handle = await open(temporary, 'wx', mode)
  try {
    await handle.writeFile(content)
    await handle.sync()
  } finally {
    await handle.close()
  }
  return temporary
}

export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
