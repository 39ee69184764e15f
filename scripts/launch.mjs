// Runs one of our TypeScript programs under the right Node. Plain JavaScript for Node 20.
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { SetupError, prepare, root, say } from './setup.mjs'

const preload = new URL('./launched.mjs', import.meta.url).href

/** @type {NodeJS.Signals[]} */
const signals = ['SIGTERM', 'SIGINT', 'SIGHUP']

/**
 * Sets up, runs `program` (a path in the clone) until its end, and ends as it did.
 *
 * @param {string} program
 * @param {string[]} args
 */
export async function launch(program, args) {
  const { node, env } = await preparedOrExit()
  const { code, signal } = await follow(node, [join(root, program), ...args], env)
  if (signal !== null) process.kill(process.pid, signal)
  process.exitCode = code ?? 3
}

/** @param {string[]} [folders] @returns {Promise<import('./setup.mjs').Prepared>} */
export async function preparedOrExit(folders) {
  try {
    return await prepare(folders)
  } catch (error) {
    if (!(error instanceof SetupError)) throw error
    say(error.message)
    process.exit(3)
  }
}

/**
 * Runs Node as a child whose life hangs on ours. It is in a session of its own, so that Ctrl-C
 * reaches it once, handed on by us; and it has a channel to us that breaks when we are killed.
 *
 * @param {string} node
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<{ code: number | null, signal: NodeJS.Signals | null }>}
 */
export function follow(node, args, env) {
  const flags = ['--disable-warning=ExperimentalWarning', `--import=${preload}`]
  const child = spawn(node, [...flags, ...args], {
    env,
    detached: true,
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  })
  /** @param {NodeJS.Signals} signal */
  const handOn = (signal) => child.kill(signal)
  for (const signal of signals) process.on(signal, handOn)
  const watch = watchNpm(() => child.kill('SIGTERM'))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      clearInterval(watch)
      for (const name of signals) process.off(name, handOn)
      resolve({ code, signal })
    })
  })
}

/**
 * npm killed for good cannot tell us; our parent is another one then.
 *
 * @param {() => void} onGone
 */
function watchNpm(onGone) {
  const parent = process.ppid
  if (process.env['npm_lifecycle_event'] === undefined) return undefined
  const watch = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(watch)
    onGone()
  }, 1_000)
  return watch
}
