// One set-up at a time on one clone. Plain JavaScript for Node 20.
import { execFileSync } from 'node:child_process'
import { linkSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * @typedef {{ pid: number, born: string }} Holder a process, told from a later one with its pid
 * @typedef {{ hold: (pid: number) => void, release: () => void }} Lock `hold` names a child whose life keeps the lock too
 */

const keptGenerations = 16

/**
 * The lock is the file with the highest number, held while a process that it names lives. A dead
 * holder's file is never taken over, which two could do at once, but succeeded by the next number.
 *
 * @param {string} folder
 * @param {() => void} onWait told once, when another process holds it
 * @returns {Promise<Lock>}
 */
export async function acquireLock(folder, onWait) {
  mkdirSync(folder, { recursive: true })
  for (let waited = false; ;) {
    const highest = highestIn(folder)
    if (holdersOf(folder, highest).some(isAlive)) {
      if (!waited) onWait()
      waited = true
    } else if (claim(folder, highest + 1)) {
      return lockOf(folder, highest + 1)
    }
    await sleep(100)
  }
}

/** @param {string} folder @param {number} number @returns {Lock} */
function lockOf(folder, number) {
  const self = identify(process.pid)
  return {
    hold: (pid) => write(join(folder, String(number)), [self, identify(pid)]),
    release: () => write(join(folder, String(number)), []),
  }
}

/** @param {string} folder @param {number} number */
function claim(folder, number) {
  const part = join(folder, `part-${process.pid}`)
  writeFileSync(part, JSON.stringify([identify(process.pid)]))
  try {
    linkSync(part, join(folder, String(number)))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  } finally {
    rmSync(part)
  }
  // Someone slow may claim a number that was cleared away long ago.
  if (highestIn(folder) !== number) return false
  for (const old of numbersIn(folder)) {
    if (old <= number - keptGenerations) rmSync(join(folder, String(old)), { force: true })
  }
  return true
}

/** @param {string} folder */
function numbersIn(folder) {
  return readdirSync(folder)
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
}

/** @param {string} folder */
function highestIn(folder) {
  return Math.max(0, ...numbersIn(folder))
}

/** @param {string} folder @param {number} number @returns {Holder[]} */
function holdersOf(folder, number) {
  try {
    return JSON.parse(readFileSync(join(folder, String(number)), 'utf8'))
  } catch {
    return []
  }
}

/** @param {string} path @param {Holder[]} holders */
function write(path, holders) {
  const part = `${path}.part`
  writeFileSync(part, JSON.stringify(holders))
  renameSync(part, path)
}

/** @param {number} pid @returns {Holder} */
function identify(pid) {
  return { pid, born: birthOf(pid) ?? '' }
}

/** @param {Holder} holder */
function isAlive({ pid, born }) {
  return birthOf(pid) === born
}

/**
 * When a process began, or null when it is gone: a pid alone comes back on a later process.
 *
 * @param {number} pid
 * @returns {string | null}
 */
function birthOf(pid) {
  try {
    if (process.platform !== 'linux') {
      return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim()
    }
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    // The second field, the name in parentheses, may hold blanks and parentheses itself.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? []
    const [state] = fields
    return state === 'Z' ? null : `${boot} ${fields[19]}`
  } catch {
    return null
  }
}
