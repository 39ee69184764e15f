import { randomBytes } from 'node:crypto'
import { link, mkdir, open, readFile, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { decodeHeld, encodeHeld, HeldError, isSameHeld } from './held.ts'
import type { Held, HeldStore } from './held.ts'

const NAME = /^held-([0-9]{16})\.json$/
const nameOf = (version: number) => `held-${String(version).padStart(16, '0')}.json`

/**
 * The held record as files of one folder, 0600, each version under a name of its own. `link` is the
 * compare-and-swap: it makes a name that is not there, whole and durable, or fails, whatever other
 * process tries the same. No lock file is needed, so none outlives a process that is killed.
 */
export function createHeldFile(folder: string): HeldStore {
  return {
    read: async () => (await newest(folder))?.held ?? null,
    create: async (first) => {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      if ((await newest(folder)) !== null) throw conflict(folder)
      return await write(folder, 1, first)
    },
    replace: async (held, next) => {
      const current = await newest(folder)
      if (current === null || !isSameHeld(current.held, held)) throw conflict(folder)
      return await write(folder, current.version + 1, next)
    },
    close: async () => {},
  }
}

async function newest(folder: string): Promise<{ version: number; held: Held } | null> {
  for (;;) {
    const version = (await versions(folder)).at(-1)
    if (version === undefined) return null
    const path = join(folder, nameOf(version))
    try {
      return { version, held: decodeHeld(await readFile(path, 'utf8'), path) }
    } catch (error) {
      // Another process has gone on, and swept it away.
      if (isMissing(error) && ((await versions(folder)).at(-1) ?? 0) > version) continue
      throw error
    }
  }
}

async function versions(folder: string): Promise<number[]> {
  try {
    const names = await readdir(folder)
    return names
      .flatMap((name) => {
        const digits = NAME.exec(name)?.[1]
        return digits === undefined ? [] : [Number(digits)]
      })
      .sort((left, right) => left - right)
  } catch (error) {
    if (isMissing(error)) return []
    throw new HeldError('unreadable', `${folder}: cannot be read`, { cause: error })
  }
}

/**
 * An older version is removed only when a newer one is there. So a writer that slept so long that its
 * next name is free again finds the newer one, and knows that it has lost.
 */
async function write(folder: string, version: number, held: Held): Promise<Held> {
  const temporary = join(folder, `${nameOf(version)}.${randomBytes(6).toString('hex')}.new`)
  const file = await open(temporary, 'wx', 0o600)
  try {
    await file.writeFile(encodeHeld(held))
    await file.sync()
    await file.close()
    await link(temporary, join(folder, nameOf(version)))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') throw conflict(folder)
    throw error
  } finally {
    await file.close().catch(() => undefined)
    await rm(temporary, { force: true })
  }
  await sync(folder)
  const all = await versions(folder)
  if (all.at(-1) !== version) throw conflict(folder)
  for (const old of all.filter((one) => one < version))
    await rm(join(folder, nameOf(old)), { force: true })
  return held
}

async function sync(folder: string): Promise<void> {
  const directory = await open(folder, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

function conflict(folder: string): HeldError {
  return new HeldError('conflict', `${folder}: another process has changed the held record`)
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
