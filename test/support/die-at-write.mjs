// Preloaded with `--import`: the process dies by kill -9 right after its write number DIE_AT, or tells on
// its way out how many there were. A write is whatever a crash could leave half done.
import fs from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'

/** @typedef {Record<string, (...args: unknown[]) => Promise<unknown>>} Methods */

const dieAt = Number(process.env['DIE_AT'])
let count = 0

function written() {
  count += 1
  if (count === dieAt) process.kill(process.pid, 'SIGKILL')
}

/** @param {Methods} target @param {string[]} names */
function watch(target, names) {
  for (const name of names) {
    const original = target[name]?.bind(target)
    target[name] = async (...args) => {
      const result = await original?.(...args)
      written()
      return result
    }
  }
}

const methods = /** @type {Methods} */ (/** @type {unknown} */ (fs))
watch(methods, ['mkdir', 'rename', 'link', 'rm', 'chmod', 'writeFile', 'appendFile'])
const open = fs.open
fs.open = async (path, flags, mode) => {
  const handle = await open(path, flags, mode)
  if (flags === undefined || flags === 'r') return handle
  written()
  const file = /** @type {Methods} */ (/** @type {unknown} */ (handle))
  watch(file, ['write', 'writev', 'writeFile', 'appendFile', 'sync', 'datasync', 'truncate'])
  return handle
}
syncBuiltinESMExports()
process.on('exit', () => process.stderr.write(`writes: ${count}\n`))
